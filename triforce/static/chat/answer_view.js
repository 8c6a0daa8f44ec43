import { copyText } from "./code.js";
import { el, icon, iconButton } from "./dom.js";
import { errorCard } from "./error_card.js";
import { Stream } from "./stream.js";
import { dateTime, fill, gettext, number, tokens } from "./text.js";

/** One answer: who gives it, how it got there, what it says, and what can be done with it. */
export class AnswerView {
  #unwatch;

  /** @param {Object} page what the buttons do: regenerate, continueAnswer, stop, choose … and `models`, `user` */
  constructor(turn, page) {
    this.turn = turn;
    this.page = page;
    this.name = el("p", { class: "answer-name" });
    this.why = el("p", { class: "answer-why", hidden: true });
    this.thoughts = el("div", { class: "prose" });
    this.reasoning = el("details", { class: "reasoning", hidden: true }, el("summary", {}, icon("chevron"), el("span")), this.thoughts);
    this.text = el("div", { class: "prose answer-text" });
    this.waiting = el("p", { class: "waiting" }, el("span", { class: "dots" }, el("i"), el("i"), el("i")), el("span", { class: "visually-hidden" }, gettext("The answer is being written")));
    this.foot = el("div", { class: "answer-foot" });
    this.element = el("div", { class: "answer" }, this.name, this.why, this.reasoning, this.text, this.waiting, this.foot);
    this.stream = new Stream(this.text);
    this.thinking = new Stream(this.thoughts);
    this.#unwatch = turn.watch((what) => (what === "text" ? this.#grow() : this.#state()));
    this.#state();
  }

  close() {
    this.#unwatch();
    this.stream.stop();
    this.thinking.stop();
  }

  /** The models' names are here, or others. */
  rename() {
    this.name.replaceChildren(...this.#who());
    this.#explain();
  }

  #grow() {
    const { turn } = this;
    if (turn.answer) this.stream.set(turn.answer);
    if (turn.reasoning) this.thinking.set(turn.reasoning);
    this.#shape();
  }

  #shape() {
    const { turn } = this;
    this.waiting.hidden = !turn.running || Boolean(turn.answer);
    this.reasoning.hidden = !turn.reasoning;
    const busy = turn.running && !turn.answer;
    this.reasoning.querySelector("span").textContent = busy ? gettext("Thinking …") : gettext("Thoughts");
    this.element.classList.toggle("running", turn.running);
  }

  #state() {
    const { turn } = this;
    this.rename();
    if (turn.running) this.#grow();
    else {
      this.stream.finish(turn.answer);
      if (turn.reasoning) this.thinking.finish(turn.reasoning);
      this.#shape();
    }
    this.foot.replaceChildren(...this.#foot());
  }

  #who() {
    const { turn, page } = this;
    const id = turn.model || turn.requested_model || "";
    const brumo = el("img", { src: page.bear, alt: "", width: 24, height: 24 });
    return [brumo, el("span", { class: "answer-model", title: id }, page.models.name(id) || gettext("Answer"))];
  }

  #explain() {
    const { turn, page } = this;
    const lines = [...(turn.warnings ?? [])];
    if (turn.fallback_used && turn.requested_model && turn.requested_model !== turn.model) {
      lines.unshift(fill(gettext("%(asked)s was not to be had, so %(answered)s stood in."), { asked: page.models.name(turn.requested_model), answered: page.models.name(turn.model) }));
    }
    this.why.hidden = !lines.length;
    this.why.replaceChildren(...lines.flatMap((line, at) => [at ? el("br") : "", line]));
  }

  #foot() {
    const { turn, page } = this;
    if (turn.running) return [];
    const parts = [];
    if (turn.state === "failed") parts.push(errorCard(turn.error, { saying: turn.error?.saying, models: page.models, retry: page.fixed || turn.error?.doubted ? null : (model) => page.regenerate(turn, model), choose: page.fixed ? undefined : () => page.pickModels() }));
    if (turn.state === "cancelled") parts.push(el("p", { class: "soft small" }, gettext("Stopped.")));
    if (turn.finish_reason === "content_filter") parts.push(el("p", { class: "soft small" }, gettext("The provider held the rest of this answer back.")));
    const bar = el("div", { class: "actions", role: "toolbar", "aria-label": gettext("With this answer") });
    if (turn.answer) {
      const copy = iconButton("copy", gettext("Copy answer"), () => copyText(turn.answer, copy));
      bar.append(copy);
    }
    if (turn.state !== "failed") bar.append(iconButton("again", gettext("Answer again"), (event) => page.offerAgain(turn, event.currentTarget), { "aria-haspopup": "menu" }));
    if (turn.finish_reason === "length") {
      bar.append(el("button", { type: "button", class: "button quiet small", onclick: () => page.continueAnswer(turn) }, icon("forward"), gettext("Go on")));
    }
    if (turn.columns.length > 1) {
      bar.append(el("button", { type: "button", class: "button quiet small", onclick: () => page.settle(turn) }, icon("check"), gettext("Go on with this one")));
    }
    const figures = this.#figures();
    if (figures) bar.append(figures);
    if (bar.childElementCount) parts.push(bar);
    return parts;
  }

  #figures() {
    const { turn, page } = this;
    if (!turn.tokens_used) return null;
    const details = [
      turn.input_tokens === null ? "" : fill(gettext("%(input)s in, %(output)s out"), { input: number(turn.input_tokens), output: number(turn.output_tokens ?? 0) }),
      turn.latency_ms === null ? "" : fill(gettext("%(seconds)s s"), { seconds: number(Math.round(turn.latency_ms / 100) / 10) }),
      turn.created ? dateTime(turn.created) : "",
    ];
    const title = details.filter(Boolean).join(" · ");
    const words = tokens(turn.tokens_used);
    if (!page.user || !turn.request_id) return el("span", { class: "figures", title }, words);
    return el("a", { class: "figures", href: `/receipts/${encodeURIComponent(turn.request_id)}`, title, "aria-label": fill(gettext("Receipt: %(tokens)s"), { tokens: words }) }, icon("receipt"), words);
  }
}
