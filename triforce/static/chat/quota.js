import { boot } from "./boot.js";
import { el } from "./dom.js";
import { fill, gettext, number, time } from "./text.js";

/** What is left of today's tokens, in the line below the composer. */
export class Quota {
  remaining = undefined;

  constructor(place) {
    this.place = place;
  }

  ready({ tokens_remaining: remaining, token_limit: limit, resets_at: resets }) {
    Object.assign(this, { limit, resets });
    this.left(remaining);
  }

  /** What an answer says is left; of models that do not count it says nothing of today's limit. */
  after({ usage_class: kind, tokens_remaining: remaining }) {
    if (kind === "cloud") this.left(remaining);
  }

  /** So many are left; null = no limit. */
  left(remaining) {
    if (remaining === undefined) return;
    this.remaining = remaining;
    this.place.replaceChildren(...this.#words());
    this.place.classList.toggle("low", remaining !== null && this.limit > 0 && remaining < this.limit / 10);
  }

  #words() {
    if (this.remaining === null) return [gettext("No limit today")];
    const words = fill(gettext("%(tokens)s tokens left today"), { tokens: number(this.remaining) });
    const until = this.resets ? el("span", { class: "until" }, " · ", fill(gettext("new ones at %(time)s"), { time: time(this.resets) })) : "";
    return [boot.user ? el("a", { href: "/dashboard" }, words) : words, until];
  }
}
