import { el, iconButton } from "./dom.js";
import { gettext } from "./text.js";

const STAYS = 9000;
const place = document.getElementById("toasts");

/**
 * A sentence that goes away by itself, unless somebody is on it. One that offers something stays until it is closed, or another does.
 * @param {string} words
 * @param {{kind?: "good"|"bad", action?: string, onaction?: () => void}} [options]
 */
export function toast(words, { kind = "", action, onaction } = {}) {
  const close = () => note.remove();
  const note = el(
    "div",
    { class: `notice toast ${kind}`.trim() },
    el("p", {}, words),
    action && el("button", { type: "button", class: "button quiet small", data: { offer: "" }, onclick: () => (close(), onaction()) }, action),
    iconButton("close", gettext("Close"), close),
  );
  if (action) {
    takeBackOffer();
    place.append(note);
    return;
  }
  let timer = setTimeout(close, STAYS);
  const hold = () => clearTimeout(timer);
  const release = () => {
    clearTimeout(timer);
    timer = setTimeout(close, STAYS);
  };
  note.addEventListener("pointerenter", hold);
  note.addEventListener("pointerleave", release);
  note.addEventListener("focusin", hold);
  note.addEventListener("focusout", release);
  place.append(note);
}

/** The button of what is offered just now, if anything is. */
export const offered = () => place.querySelector("[data-offer]");

/** It is no longer on offer. */
export const takeBackOffer = () => offered()?.closest(".toast").remove();

/** Says what went wrong with something that was asked for. */
export const toastError = (error) => toast(error.message, { kind: "bad" });
