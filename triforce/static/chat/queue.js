import { el, iconButton } from "./dom.js";
import { fill, gettext } from "./text.js";

/** Messages that wait until the answer before them is there. */
export class Queue {
  #waiting = [];

  constructor(place) {
    this.place = place;
  }

  get size() {
    return this.#waiting.length;
  }

  /** @param {{message: string, attachments: Object[]}} entry */
  add(entry) {
    this.#waiting.push(entry);
    this.#draw();
  }

  next() {
    const entry = this.#waiting.shift();
    this.#draw();
    return entry;
  }

  clear() {
    this.#waiting = [];
    this.#draw();
  }

  #draw() {
    this.place.hidden = !this.#waiting.length;
    this.place.replaceChildren(
      ...this.#waiting.map((entry) =>
        el(
          "li",
          { class: "chip queued" },
          el("span", { class: "soft small" }, gettext("Next:")),
          el("span", { class: "chip-name" }, entry.message),
          iconButton("close", fill(gettext("Remove “%(message)s” from the queue"), { message: entry.message.slice(0, 40) }), () => {
            this.#waiting = this.#waiting.filter((other) => other !== entry);
            this.#draw();
          }),
        ),
      ),
    );
  }
}
