import { el, iconButton } from "./dom.js";
import { gettext } from "./text.js";

/**
 * A modal dialog. The browser keeps the focus inside and gives it back; Escape and a click beside it close it.
 * @param {string} title
 * @param {(Node|string)[]} content
 * @param {{class?: string, onclose?: () => void}} [options]
 * @returns {HTMLDialogElement} open already
 */
export function openDialog(title, content, { class: extra = "", onclose } = {}) {
  const id = `dialog-${crypto.randomUUID()}`;
  const dialog = el("dialog", { class: `sheet ${extra}`.trim(), "aria-labelledby": id });
  dialog.append(el("header", { class: "sheet-head" }, el("h2", { id }, title), iconButton("close", gettext("Close"), () => dialog.close())), el("div", { class: "sheet-body" }, ...content));
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => {
    dialog.remove();
    onclose?.();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * Asks for one line of text.
 * @returns {Promise<string|null>} null where it was called off
 */
export function askText(title, label, value = "", { suggestions = [], action = gettext("Save") } = {}) {
  return new Promise((resolve) => {
    let answer = null;
    const list = suggestions.length ? el("datalist", { id: `list-${crypto.randomUUID()}` }, ...suggestions.map((word) => el("option", { value: word }))) : null;
    const field = el("input", { class: "input", id: `ask-${crypto.randomUUID()}`, value, maxLength: 200, autocomplete: "off", list: list?.id });
    const form = el("form", { method: "dialog" }, el("div", { class: "field" }, el("label", { htmlFor: field.id }, label), field, list), el("div", { class: "row end" }, el("button", { class: "button" }, action)));
    form.addEventListener("submit", () => (answer = field.value.trim()));
    openDialog(title, [form], { class: "small", onclose: () => resolve(answer) });
    field.select();
    field.focus();
  });
}
