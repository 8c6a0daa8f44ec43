import { coarse, el, icon, sends } from "./dom.js";
import { fill, gettext } from "./text.js";

const DRAFT_PAUSE = 250;

/** Where messages are written. Events: "send", "change", "files" (detail: the files dropped or pasted). */
export class Composer extends EventTarget {
  #timer = 0;
  #desk = null;

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
    field.enterKeyHint = coarse.matches ? "enter" : "send";
    field.addEventListener("keydown", (event) => {
      if (!sends(event)) return;
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

  /** What lies on that desk: another conversation's, or the same after something was taken or put there. */
  open(desk) {
    if (desk !== this.#desk) this.#keep();
    clearTimeout(this.#timer);
    this.#desk = desk;
    this.field.value = desk.words;
    this.#grow();
    this.#tell("change");
  }

  /** Puts words in front of what is written. */
  put(words) {
    this.#desk.put({ message: words, attachments: [] });
    this.open(this.#desk);
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
    this.#desk.words = this.field.value;
    this.#grow();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#keep(), DRAFT_PAUSE);
    this.#tell("change");
  }

  #keep() {
    clearTimeout(this.#timer);
    this.#desk?.save();
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
