import { kept } from "./storage.js";

const narrow = matchMedia("(max-width: 60rem)");

/** The conversations beside the thread; on small screens a drawer over it. */
export class Drawer {
  /** @param {{drawer: HTMLElement, room: HTMLElement, buttons: HTMLElement[], shade: HTMLElement}} parts `room`: what it may cover */
  constructor({ drawer, room, buttons, shade }) {
    Object.assign(this, { drawer, room, buttons, shade });
    for (const button of buttons) button.addEventListener("click", () => this.toggle());
    shade.addEventListener("click", () => this.leave());
    drawer.addEventListener("keydown", (event) => event.key === "Escape" && narrow.matches && (event.stopPropagation(), this.leave()));
    narrow.addEventListener("change", () => this.#settle());
    this.#settle();
  }

  toggle() {
    this.#set(!this.open);
    if (!narrow.matches) kept.set("sidebar", this.open);
    else if (this.open) this.drawer.querySelector("a, button")?.focus();
  }

  show() {
    this.#set(true);
  }

  /** Out of the way, where it covers the thread. */
  leave() {
    if (!narrow.matches || !this.open) return;
    this.#set(false);
    this.room.querySelector("[data-sidebar]").focus();
  }

  #settle() {
    this.#set(!narrow.matches && kept.get("sidebar", true));
  }

  #set(open) {
    this.open = open;
    this.drawer.inert = !open;
    this.room.inert = open && narrow.matches;
    document.body.classList.toggle("with-sidebar", open);
    document.body.classList.toggle("without-sidebar", !open);
    this.shade.hidden = !(open && narrow.matches);
    for (const button of this.buttons) button.setAttribute("aria-expanded", String(open));
  }
}
