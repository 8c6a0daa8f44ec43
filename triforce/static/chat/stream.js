import { blocks, drawn } from "./markdown.js";

/**
 * A text that grows, drawn once a frame. Blocks that can no longer change are drawn for good; only the last one is drawn anew,
 * and an open block of code only gets its new letters.
 */
export class Stream {
  #text = "";
  #drawnUpTo = 0;
  #links = {};
  #frame = 0;
  #rest = 0;
  #figure = null;
  #html = false;

  constructor(container) {
    this.container = container;
    this.tail = document.createElement("div");
    this.tail.className = "tail";
    container.replaceChildren(this.tail);
  }

  /** The whole text so far; one that was finished may go on after all. */
  set(text) {
    if (!this.tail.parentNode) this.#restart();
    this.#text = text.includes("\r") ? text.replace(/\r\n?/g, "\n") : text;
    if (!this.#frame) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  /** The whole text, and that is all. */
  finish(text) {
    cancelAnimationFrame(this.#frame);
    const before = this.#text.slice(0, this.#drawnUpTo);
    this.set(text);
    cancelAnimationFrame(this.#frame);
    if (this.#html || !this.#text.startsWith(before)) this.#restart();
    this.#settle(blocks(this.#text.slice(this.#drawnUpTo), this.#links));
    this.tail.remove();
  }

  stop() {
    cancelAnimationFrame(this.#frame);
  }

  #restart() {
    this.#drawnUpTo = 0;
    this.#figure = null;
    this.tail.replaceChildren();
    this.container.replaceChildren(this.tail);
  }

  #draw() {
    this.#frame = 0;
    const started = performance.now();
    if (started < this.#rest) {
      this.#frame = requestAnimationFrame(() => this.#draw());
      return;
    }
    const tokens = blocks(this.#text.slice(this.#drawnUpTo), this.#links);
    const last = tokens.findLastIndex((token) => token.type !== "space");
    if (last > 0) this.#settle(tokens.slice(0, last));
    if (last >= 0) this.#grow(tokens[last]);
    const took = performance.now() - started;
    this.#rest = took > 8 ? started + took * 4 : 0; // a block that is dear to draw is drawn less often
  }

  #settle(tokens) {
    if (!tokens.length) return;
    this.#html ||= tokens.some((token) => token.type === "html"); // may hold together what came in several pieces
    this.tail.before(drawn(tokens));
    this.#drawnUpTo += tokens.reduce((sum, token) => sum + token.raw.length, 0);
    this.#figure = null;
    this.tail.replaceChildren();
  }

  #grow(token) {
    if (token.type === "code" && this.#figure?.dataset.lang === (token.lang ?? "")) {
      const text = this.#figure.querySelector("code").firstChild;
      if (text?.data && token.text.startsWith(text.data)) return text.appendData(token.text.slice(text.data.length));
    }
    this.tail.replaceChildren(drawn([token], { settled: false }));
    this.#figure = token.type === "code" ? this.tail.querySelector("figure") : null;
    const text = this.#figure?.querySelector("code").firstChild;
    if (text) text.data = token.text; // without the line end that is put behind a whole one
  }
}
