import { el, icon } from "./dom.js";

/**
 * A menu below its button.
 * @param {HTMLElement} button
 * @param {({icon: string, label: string, action: () => void, bad?: boolean, href?: string, download?: boolean}|null)[]} items
 */
export function openMenu(button, items) {
  const menu = el("div", { class: "menu-list", role: "menu", popover: "auto" });
  const entries = items.filter(Boolean).map(({ icon: name, label, action, bad, href, download }) => {
    const props = { class: `menu-item${bad ? " bad" : ""}`, role: "menuitem", tabIndex: -1, onclick: () => (menu.hidePopover(), action?.()) };
    return href ? el("a", { ...props, href, download }, icon(name), label) : el("button", { ...props, type: "button" }, icon(name), label);
  });
  menu.append(...entries);
  menu.addEventListener("keydown", (event) => {
    const at = entries.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (event.key === "Tab") menu.hidePopover();
    if (to === undefined) return;
    event.preventDefault();
    entries.at(to % entries.length).focus();
  });
  menu.addEventListener("toggle", (event) => {
    if (event.newState !== "closed") return;
    button.setAttribute("aria-expanded", "false");
    if (menu.contains(document.activeElement) || document.activeElement === document.body) button.focus();
    menu.remove();
  });
  (button.closest("dialog") ?? document.body).append(menu);
  menu.showPopover();
  place(menu, button);
  button.setAttribute("aria-expanded", "true");
  entries[0].focus();
}

function place(menu, button) {
  const from = button.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = menu;
  const left = Math.max(8, Math.min(from.left, innerWidth - width - 8));
  const below = from.bottom + 4 + height < innerHeight;
  menu.style.left = `${left}px`;
  menu.style.top = `${below ? from.bottom + 4 : Math.max(8, from.top - height - 4)}px`;
}
