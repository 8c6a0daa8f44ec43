import { dollars, fill, gettext, number } from "./text.js";

const PAUSE = 400;

/** What sending would cost, asked for while somebody writes. */
export class Quote {
  #timer = 0;
  #id = null;

  /** @param {{socket: Object, place: HTMLElement, quota: Object, frame: () => Object|null}} parts */
  constructor({ socket, place, quota, frame }) {
    Object.assign(this, { socket, place, quota, frame });
    socket.addEventListener("frame", ({ detail }) => detail.type === "quote" && detail.id === this.#id && this.#show(detail));
    socket.addEventListener("frame", ({ detail }) => detail.type === "error" && detail.id === this.#id && this.clear());
  }

  /** Something changed that the price may hang on. */
  ask() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const asked = this.frame();
      if (!asked) return this.clear();
      this.#id = crypto.randomUUID();
      this.socket.send({ ...asked, type: "quote", id: this.#id });
    }, PAUSE);
  }

  clear() {
    clearTimeout(this.#timer);
    this.#id = null;
    this.place.textContent = "";
    this.place.classList.remove("refused");
  }

  #show(quote) {
    const parts = [fill(gettext("~%(tokens)s tokens of context"), { tokens: number(quote.input_tokens) })];
    if (!quote.would_be_admitted) parts.push(quote.reason || gettext("would not be taken"));
    else if (quote.max_charge && typeof this.quota.remaining === "number") {
      parts.push(fill(gettext("at most %(charge)s of today's %(left)s left"), { charge: number(quote.max_charge), left: number(this.quota.remaining) }));
    } else if (!quote.max_charge) parts.push(gettext("free of tokens"));
    if (quote.price_usd) parts.push(`≈ ${dollars(quote.price_usd)}`);
    this.place.textContent = parts.join(" · ");
    this.place.classList.toggle("refused", !quote.would_be_admitted);
  }
}
