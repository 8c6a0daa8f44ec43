import { dollars, fill, gettext, number } from "./text.js";

const PAUSE = 400;
const REASONS = {
  quota_exceeded: gettext("more than is left of today's tokens"),
  model_not_in_tier: gettext("this model is not in your tier"),
  feature_not_in_tier: gettext("not in your tier"),
  upstream_unavailable: gettext("this model is away"),
};

/** What sending would cost, asked for while somebody writes: the sum where several models are to answer. */
export class Quote {
  #timer = 0;
  #asked = new Map(); // id -> what was answered, null until then

  /** @param {{socket: Object, place: HTMLElement, quota: Object, frames: () => Object[]}} parts */
  constructor({ socket, place, quota, frames }) {
    Object.assign(this, { socket, place, quota, frames });
    socket.addEventListener("frame", ({ detail }) => detail.type === "quote" && this.#take(detail));
    socket.addEventListener("frame", ({ detail }) => detail.type === "error" && this.#asked.has(detail.id) && this.clear());
  }

  /** Something changed that the price may hang on. */
  ask() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const frames = this.frames();
      if (!frames.length) return this.clear();
      if (frames.some((frame) => this.socket.room(frame) < 0)) return this.#say([gettext("too long for a message: attach it as a file")], true);
      this.#asked = new Map(frames.map((frame) => [frame.id, null]));
      for (const frame of frames) this.socket.send({ ...frame, type: "quote" });
    }, PAUSE);
  }

  clear() {
    clearTimeout(this.#timer);
    this.#say([]);
  }

  #take(quote) {
    if (!this.#asked.has(quote.id)) return;
    this.#asked.set(quote.id, quote);
    const quotes = [...this.#asked.values()];
    if (quotes.every(Boolean)) this.#show(quotes);
  }

  #show(quotes) {
    const parts = [fill(gettext("~%(tokens)s tokens of context"), { tokens: number(Math.max(...quotes.map((quote) => quote.input_tokens))) })];
    const counted = quotes.filter((quote) => quote.share_of_remaining !== null);
    const charge = counted.reduce((sum, quote) => sum + quote.max_charge, 0);
    const { remaining } = this.quota;
    const refused = quotes.find((quote) => !quote.would_be_admitted);
    const tooMuch = counted.length > 1 && typeof remaining === "number" && charge > remaining;
    if (refused || tooMuch) parts.push(refused ? (REASONS[refused.reason] ?? gettext("would not be taken")) : REASONS.quota_exceeded);
    else if (counted.length && typeof remaining === "number") {
      parts.push(fill(gettext("at most %(charge)s of today's %(left)s left"), { charge: number(charge), left: number(remaining) }));
    } else if (!counted.length && remaining !== null) parts.push(gettext("free of tokens"));
    const prices = quotes.map((quote) => quote.price_usd);
    if (prices.every(Boolean)) parts.push(`≈ ${dollars(prices.reduce((sum, price) => sum + price, 0))}`);
    this.#say(parts, Boolean(refused || tooMuch));
  }

  #say(parts, refused = false) {
    this.#asked = new Map();
    this.place.textContent = parts.join(" · ");
    this.place.classList.toggle("refused", refused);
  }
}
