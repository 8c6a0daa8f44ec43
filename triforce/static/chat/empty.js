import { el } from "./dom.js";
import { gettext } from "./text.js";

const STARTERS = [
  [gettext("Explain it to me"), gettext("Explain to me how a compiler works, with a picture from everyday life.")],
  [gettext("Write with me"), gettext("Write a friendly mail to my landlord: the heating has been cold since Monday.")],
  [gettext("Think with me"), gettext("I want to learn to program. Ask me three questions, then suggest a plan for four weeks.")],
];

/** What stands there before the first word: the bear, his saying, three ways to begin. */
export function emptyState({ bear, saying, temporary, onstart }) {
  return el(
    "div",
    { class: "welcome" },
    el("img", { src: bear, alt: "", width: 88, height: 88 }),
    el("h2", {}, temporary ? gettext("Between you and me") : gettext("What is it about?")),
    el("p", { class: "soft" }, temporary ? gettext("A temporary chat: kept nowhere, gone with this page. It counts towards today's tokens all the same.") : saying),
    !temporary &&
      el(
        "ul",
        { class: "plain starters" },
        ...STARTERS.map(([title, words]) => el("li", {}, el("button", { type: "button", class: "starter", onclick: () => onstart(words) }, el("strong", {}, title), el("span", { class: "soft" }, words)))),
      ),
  );
}
