import { el, icon } from "./dom.js";
import { kept } from "./storage.js";
import { fill, gettext } from "./text.js";

const DRAFT_PAUSE = 250;

/** Where messages are written. Events: "send", "change", "files" (detail: the files dropped or pasted). */
export class Composer extends EventTarget {
  #timer = 0;
  #draft = null;

  constructor(form) {
    super();
    this.form = form;
    this.field = form.querySelector("textarea");
    this.button = form.querySelector(".send");
    this.model = form.querySelector(".model-button");
    const { field } = this;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#tell("send");
    });
    field.addEventListener("input", () => this.#changed());
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#tell("send");
    });
    field.addEventListener("paste", (event) => this.#files(event, event.clipboardData.files));
    this.#acceptDrops();
    addEventListener("pagehide", () => this.#keep());
  }

  get text() {
    return this.field.value.trim();
  }

  /** Another conversation, another draft. */
  open(conversation, { keep = true } = {}) {
    this.#keep();
    this.#draft = keep ? `draft:${conversation ?? "new"}` : null;
    this.field.value = keep ? kept.get(this.#draft, "") : "";
    this.#grow();
  }

  /** The draft of a new conversation belongs to the one it became. */
  became(conversation) {
    kept.set(this.#draft, null);
    this.#draft = `draft:${conversation}`;
    this.#keep();
  }

  clear() {
    this.field.value = "";
    this.#changed();
    this.#keep();
  }

  /** Puts words back, in front of what was written since. */
  put(words) {
    const { field } = this;
    field.value = [words, field.value].filter((part) => part.trim()).join("\n\n");
    this.#changed();
  }

  append(words) {
    const { field } = this;
    field.value = [field.value.trimEnd(), words].filter(Boolean).join(" ");
    this.#changed();
  }

  focus() {
    this.field.focus({ preventScroll: true });
  }

  /** The button sends, stops, or queues. */
  shape({ running, empty }) {
    const stops = running && empty;
    this.button.classList.toggle("stops", stops);
    const label = stops ? gettext("Stop") : running ? gettext("Send when the answer is there") : gettext("Send");
    this.button.setAttribute("aria-label", label);
    this.button.title = label;
    this.button.disabled = !running && empty;
    this.button.replaceChildren(icon(stops ? "stop" : "send"));
  }

  /** Says who will answer. */
  showModels(names, state) {
    const words = names.length > 1 ? fill(gettext("%(count)s models side by side"), { count: names.length }) : (names[0] ?? "");
    this.model.replaceChildren(names.length > 1 ? icon("columns") : el("span", { class: `dot ${state}` }), el("span", { class: "model-name" }, words), icon("chevron"));
    this.model.setAttribute("aria-label", fill(gettext("Model: %(model)s"), { model: names.join(", ") }));
  }

  #changed() {
    this.#grow();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#keep(), DRAFT_PAUSE);
    this.#tell("change");
  }

  #keep() {
    clearTimeout(this.#timer);
    if (this.#draft) kept.set(this.#draft, this.field.value);
  }

  #grow() {
    const { field } = this;
    field.style.height = "auto";
    field.style.height = `${Math.min(field.scrollHeight, innerHeight * 0.4)}px`;
  }

  #files(event, files) {
    if (!files?.length) return;
    event.preventDefault();
    this.#tell("files", [...files]);
  }

  #acceptDrops() {
    const body = document.body;
    const holds = (event) => event.dataTransfer?.types.includes("Files");
    body.addEventListener("dragover", (event) => {
      if (!holds(event)) return;
      event.preventDefault();
      body.classList.add("dropping");
    });
    body.addEventListener("dragleave", (event) => event.relatedTarget === null && body.classList.remove("dropping"));
    body.addEventListener("drop", (event) => {
      body.classList.remove("dropping");
      if (holds(event)) this.#files(event, event.dataTransfer.files);
    });
  }

  #tell(what, detail) {
    this.dispatchEvent(new CustomEvent(what, { detail }));
  }
}
