import { el, iconButton } from "./dom.js";
import { fill, gettext } from "./text.js";

/** Messages that wait until the answer before them is there. Events, with the entry: "send" (now), "back" (to be written on). */
export class Queue extends EventTarget {
  #running = false;

  constructor(place) {
    super();
    this.place = place;
  }

  /** Those of another conversation. */
  open(desk) {
    this.desk = desk;
    this.#draw();
  }

  /** @param {{message: string, attachments: Object[]}} entry */
  add(entry) {
    this.#set([...this.desk.waiting, entry]);
  }

  remove(entry) {
    this.#set(this.desk.waiting.filter((other) => other !== entry));
  }

  next() {
    const [entry, ...others] = this.desk.waiting;
    if (entry) this.#set(others);
    return entry;
  }

  /** While an answer is written the first one goes by itself afterwards; otherwise somebody has to say so. */
  shape({ running }) {
    if (running === this.#running) return;
    this.#running = running;
    this.#draw();
  }

  #set(waiting) {
    this.desk.waiting = waiting;
    this.desk.save();
    this.#draw();
  }

  #draw() {
    const { waiting } = this.desk;
    this.place.hidden = !waiting.length;
    this.place.replaceChildren(...waiting.map((entry) => this.#chip(entry)));
  }

  #chip(entry) {
    const message = entry.message.slice(0, 40);
    const tell = (what) => this.dispatchEvent(new CustomEvent(what, { detail: entry }));
    return el(
      "li",
      { class: "chip queued" },
      el("span", { class: "soft small" }, this.#running ? gettext("Next:") : gettext("Not sent:")),
      el("span", { class: "chip-name" }, entry.message),
      !this.#running && iconButton("send", fill(gettext("Send “%(message)s” now"), { message }), () => tell("send")),
      iconButton("edit", fill(gettext("Put “%(message)s” back to write on"), { message }), () => tell("back")),
      iconButton("close", fill(gettext("Remove “%(message)s” from the queue"), { message }), () => this.remove(entry)),
    );
  }
}
