import { el } from "./dom.js";
import { markWords } from "./found.js";
import { TurnView } from "./turn_view.js";

const GUESS = 280; // the height of a turn that was never drawn
const NEAR = 1200; // pixels beyond the screen that are drawn
const FAR = 3000; // and beyond which nothing stays
const BOTTOM = 60; // so close to the end counts as being there

/**
 * The turns near the screen. All others are two empty stretches of their height, so that a conversation of thousands stays light.
 * Scroll positions are kept here and not by the browser (`overflow-anchor: none`): both would correct twice.
 */
export class Thread {
  #views = new Map(); // turn id -> TurnView
  #heights = new Map();
  #path = [];
  #first = 0;
  #last = 0;
  #following = true;
  #frame = 0;
  #lastTop = 0;

  /** @param {{scroller: HTMLElement, list: HTMLElement, page: Object, onTop: () => void, onFollow: (following: boolean) => void}} parts */
  constructor({ scroller, list, page, onTop, onFollow }) {
    Object.assign(this, { scroller, list, page, onTop, onFollow });
    this.above = el("div", { class: "stretch" });
    this.below = el("div", { class: "stretch" });
    list.replaceChildren(this.above, this.below);
    this.observer = new ResizeObserver((entries) => this.#resized(entries));
    new ResizeObserver(() => this.#following && this.toEnd()).observe(scroller);
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
  }

  /** Shows another path. What is already drawn stays as it is. */
  show(path, { end = false } = {}) {
    this.#path = path;
    const { scrollTop } = this.scroller;
    const ids = new Map(path.map((turn) => [turn.id, turn]));
    for (const [id, view] of this.#views) {
      if (ids.get(id) !== view.turn || view.views.length !== view.turn.columns.length || view.siblings !== view.turn.siblings.join()) this.#remove(id);
    }
    if (end) this.#following = true;
    this.#first = this.#last = Math.max(0, Math.min(this.#first, path.length));
    this.#arrange(true, scrollTop);
    if (this.#following) this.toEnd();
    else this.scroller.scrollTop = scrollTop;
    this.#tellFollow();
  }

  /** Older turns were put in front of those shown. */
  grown(path, count) {
    this.#path = path;
    this.#first += count;
    this.#last += count;
    this.above.style.height = `${this.#sum(0, this.#first)}px`;
    if (!this.#following) this.scroller.scrollTop += this.#sum(0, count); // whoever reads stays where they are
    this.#lastTop = this.scroller.scrollTop;
    this.#arrange(true);
  }

  /** To one turn, and to the words in it that were looked for. */
  reveal(turn, words) {
    const at = this.#path.indexOf(turn);
    if (at < 0) return;
    this.#following = false;
    this.scroller.scrollTop = this.#sum(0, at);
    this.#arrange(true);
    const { element } = this.#views.get(turn.id);
    const place = markWords(element, words);
    (place?.startContainer.parentElement ?? element).scrollIntoView({ block: "center" });
    this.#lastTop = this.scroller.scrollTop;
    this.#tellFollow();
  }

  /** To the last word, and along with it from now on. */
  toEnd() {
    this.#following = true;
    this.#arrange();
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.#lastTop = this.scroller.scrollTop;
    this.#tellFollow();
  }

  /** The models' names are here, or others. */
  rename() {
    for (const { views } of this.#views.values()) for (const view of views) view.rename();
  }

  #height(index) {
    return this.#heights.get(this.#path[index].id) ?? GUESS;
  }

  #sum(from, to) {
    let sum = 0;
    for (let index = from; index < to; index++) sum += this.#height(index);
    return sum;
  }

  /** The turns that touch a stretch of the list, as [first, last). */
  #touching(top, bottom) {
    let y = 0;
    let first = -1;
    let last = 0;
    for (let index = 0; index < this.#path.length; index++) {
      const end = y + this.#height(index);
      if (end >= top && first < 0) first = index;
      if (y <= bottom) last = index + 1;
      y = end;
    }
    return [first < 0 ? Math.max(0, this.#path.length - 1) : first, last];
  }

  #arrange(force = false, scrollTop = this.scroller.scrollTop) {
    const { scroller } = this;
    const end = this.#following ? this.#sum(0, this.#path.length) : scrollTop + scroller.clientHeight;
    const top = end - scroller.clientHeight;
    const [near, nearEnd] = this.#touching(top - NEAR, end + NEAR);
    if (!force && near >= this.#first && nearEnd <= this.#last) {
      const [far, farEnd] = this.#touching(top - FAR, end + FAR);
      if (far <= this.#first && farEnd >= this.#last) return;
    }
    const anchor = this.#anchor();
    this.#draw(near, nearEnd);
    if (anchor && !this.#following) {
      scroller.scrollTop += anchor.view.element.getBoundingClientRect().top - anchor.top;
      this.#lastTop = scroller.scrollTop;
    }
  }

  /** The first drawn turn on the screen, with its place there. */
  #anchor() {
    const { top: screen } = this.scroller.getBoundingClientRect();
    for (let index = this.#first; index < this.#last; index++) {
      const view = this.#views.get(this.#path[index]?.id);
      const box = view?.element.getBoundingClientRect();
      if (box && box.bottom > screen) return { view, top: box.top };
    }
    return null;
  }

  #draw(first, last) {
    const wanted = this.#path.slice(first, last);
    const ids = new Set(wanted.map((turn) => turn.id));
    for (const id of this.#views.keys()) if (!ids.has(id)) this.#remove(id);
    let after = this.above;
    for (const turn of wanted) {
      const view = this.#views.get(turn.id) ?? this.#make(turn);
      if (after.nextElementSibling !== view.element) after.after(view.element);
      after = view.element;
    }
    this.#first = first;
    this.#last = last;
    this.above.style.height = `${this.#sum(0, first)}px`;
    this.below.style.height = `${this.#sum(last, this.#path.length)}px`;
    for (const view of this.#views.values()) this.#heights.set(view.turn.id, view.element.offsetHeight);
  }

  #make(turn) {
    const view = new TurnView(turn, this.page);
    view.siblings = turn.siblings.join();
    this.#views.set(turn.id, view);
    this.observer.observe(view.element);
    return view;
  }

  #remove(id) {
    const view = this.#views.get(id);
    this.observer.unobserve(view.element);
    view.close();
    view.element.remove();
    this.#views.delete(id);
  }

  /** Something grew: what is above the screen must not push it. */
  #resized(entries) {
    const { top: screen } = this.scroller.getBoundingClientRect();
    let pushed = 0;
    for (const { target } of entries) {
      const id = target.dataset.turn;
      const height = target.offsetHeight;
      const old = this.#heights.get(id);
      if (!target.isConnected || old === height) continue;
      if (old !== undefined && target.getBoundingClientRect().bottom - (height - old) <= screen) pushed += height - old;
      this.#heights.set(id, height);
    }
    if (this.#following) this.toEnd();
    else if (pushed) this.scroller.scrollTop += pushed;
  }

  #scrolled() {
    const { scroller } = this;
    const left = scroller.scrollHeight - scroller.clientHeight - scroller.scrollTop;
    const up = scroller.scrollTop < this.#lastTop - 1;
    this.#lastTop = scroller.scrollTop;
    if (left <= BOTTOM) this.#following = true;
    else if (up) this.#following = false;
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#arrange();
      this.#tellFollow();
      if (scroller.scrollTop < 2 * NEAR) this.onTop();
    });
  }

  #tellFollow() {
    const { scroller } = this;
    this.onFollow(this.#following || scroller.scrollHeight - scroller.clientHeight - scroller.scrollTop <= 2 * BOTTOM);
  }
}
