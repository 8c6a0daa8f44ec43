import { AnswerView } from "./answer_view.js";
import { copyText } from "./code.js";
import { coarse, el, icon, iconButton, sends } from "./dom.js";
import { bytes, fill, gettext, tokens } from "./text.js";

/** A prompt with its answer, or with several answers side by side. */
export class TurnView {
  constructor(turn, page) {
    this.turn = turn;
    this.page = page;
    this.prompt = el("div", { class: "prompt" });
    this.answers = el("div", { class: "answers" });
    this.element = el("article", { class: "turn", data: { turn: turn.id }, "aria-label": fill(gettext("Question: %(question)s"), { question: turn.prompt.slice(0, 80) }) }, this.prompt, this.answers);
    this.#showPrompt();
    this.views = turn.columns.map((one) => new AnswerView(one, page));
    this.answers.classList.toggle("compared", this.views.length > 1);
    if (this.views.length > 1) {
      this.answers.tabIndex = 0;
      this.answers.setAttribute("role", "region");
      this.answers.setAttribute("aria-label", gettext("Answers side by side"));
    }
    this.answers.append(...this.views.map((view) => view.element));
  }

  close() {
    for (const view of this.views) view.close();
  }

  #showPrompt() {
    const { turn, page } = this;
    const bubble = el("div", { class: "bubble" }, turn.prompt);
    const copy = iconButton("copy", gettext("Copy question"), () => copyText(turn.prompt, copy));
    const bar = el("div", { class: "actions" }, this.#branches(), copy, iconButton("edit", gettext("Edit question"), () => this.edit()));
    if (page.fixed) bar.replaceChildren(copy);
    this.prompt.replaceChildren(...(turn.attachments.length ? [el("ul", { class: "chips" }, ...turn.attachments.map(attached))] : []), bubble, bar);
  }

  #branches() {
    const { turn, page } = this;
    const mine = new Set(turn.columns.map((one) => one.id));
    const places = turn.siblings.filter((id) => id === turn.id || !mine.has(id));
    if (places.length < 2) return null;
    const at = places.indexOf(turn.id);
    const go = (step) => page.choose(places[at + step]);
    return el(
      "span",
      { class: "branches", role: "group", "aria-label": gettext("Versions") },
      iconButton("left", gettext("Version before"), () => go(-1), { disabled: at === 0 }),
      el("span", { class: "number" }, `${at + 1}/${places.length}`),
      iconButton("right", gettext("Next version"), () => go(1), { disabled: at === places.length - 1 }),
    );
  }

  /** The prompt as a field; sending it makes a branch. */
  edit() {
    const { turn, page } = this;
    const field = el("textarea", { class: "input", value: turn.prompt, rows: Math.min(12, turn.prompt.split("\n").length + 1), "aria-label": gettext("Question"), enterKeyHint: coarse.matches ? "enter" : "send" });
    const send = () => {
      const words = field.value.trim();
      if (words && page.ask(words, { parent: turn.parent, attachments: turn.attachments })) this.#showPrompt();
    };
    const cancel = () => {
      this.#showPrompt();
      this.prompt.querySelector("button:last-of-type")?.focus();
    };
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        event.stopPropagation();
        cancel();
      } else if (sends(event)) {
        event.preventDefault();
        send();
      }
    });
    this.prompt.replaceChildren(
      el(
        "div",
        { class: "prompt-edit" },
        field,
        el("p", { class: "soft small" }, gettext("The old version stays: you can switch between them.")),
        el("div", { class: "row" }, el("button", { type: "button", class: "button small", onclick: send }, gettext("Send")), el("button", { type: "button", class: "button quiet small", onclick: cancel }, gettext("Cancel"))),
      ),
    );
    field.focus();
  }
}

/** An attachment as it hangs on a question. */
function attached(file) {
  const words = [file.size === undefined ? "" : bytes(file.size), file.tokens ? tokens(file.tokens) : ""].filter(Boolean).join(" · ");
  const body = [file.kind === "image" && file.url ? el("img", { src: file.url, alt: "", width: 48, height: 48, loading: "lazy" }) : icon("file"), el("span", { class: "chip-name" }, file.name), el("span", { class: "soft small" }, words)];
  return el("li", { class: "chip" }, ...(file.url ? [el("a", { href: file.url, target: "_blank", rel: "noopener" }, ...body)] : body));
}
