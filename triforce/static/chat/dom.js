import { PATHS } from "./icons.js";

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element. Properties in `props` are set as such, `on…` as listeners, `data`, `aria…` and `role` as attributes; children are
 * elements or text, never HTML.
 * @param {string} tag
 * @param {Object<string, any>} [props]
 * @param {...(Node|string|null|undefined|false)} children
 * @returns {HTMLElement}
 */
export function el(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "class") made.className = value;
    else if (name === "data") Object.assign(made.dataset, value);
    else if (name.includes("-") || !(name in made)) made.setAttribute(name, value === true ? "" : value);
    else made[name] = value;
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** An icon of icons.js; decoration only, the name stands beside it or on its button. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true", focusable: "false" })) svg.setAttribute(key, value);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** A button that is only an icon, with its name for those who do not see it. */
export function iconButton(name, label, onclick, props = {}) {
  const { class: extra = "", ...rest } = props;
  return el("button", { type: "button", class: `icon-button ${extra}`.trim(), "aria-label": label, title: label, onclick, ...rest }, icon(name));
}

/** Is there no keyboard but the one on the screen? */
export const coarse = matchMedia("(pointer: coarse)");

/** Whether a key sends what is written. The keyboard on a screen has no Shift for a new line, so there Enter makes one. */
export function sends(event) {
  const composes = event.isComposing || event.keyCode === 229; // Safari ends a composition before its last key
  if (event.key !== "Enter" || event.shiftKey || composes) return false;
  return !coarse.matches || event.ctrlKey || event.metaKey;
}

/** Whether somebody is typing there. */
export function isField(element) {
  return Boolean(element?.closest?.("input, textarea, select, [contenteditable]"));
}
