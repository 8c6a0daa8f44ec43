import { boot } from "./boot.js";
import { el } from "./dom.js";
import { andBack } from "./here.js";
import { gettext } from "./text.js";

const PATIENCE = 600; // a line that is back sooner was never missed

/** Says that the line is lost, and that it is being mended. */
export class LineBar {
  #timer = 0;

  constructor(place, socket) {
    this.place = place;
    socket.addEventListener("state", ({ detail }) => this.#show(detail, socket));
  }

  #show(state, socket) {
    clearTimeout(this.#timer);
    if (state === "open") {
      this.place.hidden = true;
    } else if (state === "signed-out") {
      if (boot.user) this.#say(gettext("You are signed out here. What you wrote stays."), el("a", { class: "button small", href: andBack("/accounts/login/"), data: { back: "" } }, gettext("Sign in")));
      else this.#say(gettext("You have signed in meanwhile."), el("button", { type: "button", class: "button small", onclick: () => location.reload() }, gettext("Load the page again")));
    } else if (state === "lost") {
      const now = el("button", { type: "button", class: "button quiet small", onclick: () => socket.hurry() }, gettext("Now"));
      this.#timer = setTimeout(() => this.#say(gettext("The connection is lost, I am reconnecting …"), now), PATIENCE);
    }
  }

  #say(words, action) {
    if (this.place.hidden || this.place.dataset.words !== words) this.place.replaceChildren(el("p", {}, words), action);
    this.place.dataset.words = words;
    this.place.hidden = false;
  }
}
