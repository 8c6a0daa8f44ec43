import { openDialog } from "./dialog.js";
import { el, isField } from "./dom.js";
import { kept } from "./storage.js";
import { gettext } from "./text.js";

const APPLE = /Mac|iPhone|iPad/.test(navigator.platform);
const main = (event) => (APPLE ? event.metaKey : event.ctrlKey);
const alt = (event) => event.altKey && !event.ctrlKey && !event.metaKey && !event.getModifierState("AltGraph");

/** name: [what it says, its keys, whether an event is it] */
const KEYS = {
  fresh: [gettext("New chat"), ["Alt", "N"], (event) => alt(event) && event.code === "KeyN"],
  search: [gettext("Search conversations"), [APPLE ? "⌘" : gettext("Ctrl"), "K"], (event) => main(event) && !event.shiftKey && event.key.toLowerCase() === "k"],
  composer: [gettext("Write"), [gettext("Shift"), "Esc"], (event) => event.shiftKey && event.key === "Escape"],
  stop: [gettext("Stop the answer"), ["Esc"], (event) => event.key === "Escape" && !event.shiftKey],
  again: [gettext("Answer again"), ["Alt", "R"], (event) => alt(event) && event.code === "KeyR"],
  copy: [gettext("Copy the last answer"), ["Alt", "C"], (event) => alt(event) && event.code === "KeyC"],
  sidebar: [gettext("Show or hide the conversations"), ["Alt", "L"], (event) => alt(event) && event.code === "KeyL"],
  model: [gettext("Choose a model"), ["Alt", "M"], (event) => alt(event) && event.code === "KeyM"],
  undo: [gettext("Undo what was just done"), ["Alt", "U"], (event) => alt(event) && event.code === "KeyU"],
  overview: [gettext("This overview"), ["?"], (event) => event.key === "?" && !isField(event.target) && kept.get("single-keys", true)],
};

/** The keyboard's ways. `actions` has a function for each name; "overview" is ours. */
export class Shortcuts {
  constructor(actions) {
    this.actions = { ...actions, overview: () => this.open() };
    addEventListener("keydown", (event) => {
      if (event.defaultPrevented || document.querySelector("dialog[open], [popover]:popover-open")) return;
      for (const [name, [, , fits]] of Object.entries(KEYS)) {
        if (!fits(event)) continue;
        if (this.actions[name]() !== false) event.preventDefault();
        return;
      }
    });
  }

  open() {
    const rows = Object.values(KEYS).map(([words, keys]) => el("div", {}, el("dt", {}, words), el("dd", {}, ...keys.map((key) => el("kbd", {}, key)))));
    const writing = [
      [gettext("Send"), [gettext("Enter")]],
      [gettext("New line"), [gettext("Shift"), gettext("Enter")]],
    ].map(([words, keys]) => el("div", {}, el("dt", {}, words), el("dd", {}, ...keys.map((key) => el("kbd", {}, key)))));
    const single = el("input", { type: "checkbox", id: "single-keys", checked: kept.get("single-keys", true), onchange: (event) => kept.set("single-keys", event.target.checked) });
    openDialog(gettext("Keyboard"), [el("dl", { class: "keys" }, ...writing, ...rows), el("div", { class: "field check" }, single, el("label", { htmlFor: single.id }, gettext("Single keys, like ?")))], { class: "small" });
  }
}
