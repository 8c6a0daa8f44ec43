import { api } from "./api.js";
import { openDialog } from "./dialog.js";
import { el } from "./dom.js";
import { dateTime, fill, gettext } from "./text.js";
import { toastError } from "./toast.js";

/**
 * The conversations that were deleted and are not gone yet.
 * @param {(summary: Object) => void} onrestore
 */
export function openBin(onrestore) {
  const list = el("ul", { class: "plain bin-list" });
  const more = el("button", { type: "button", class: "button quiet small", hidden: true, onclick: () => load(more.dataset.cursor) }, gettext("Show more"));
  const note = el("p", { class: "soft small", role: "status" }, gettext("Reading …"));
  openDialog(gettext("Recently deleted"), [note, list, more], { class: "small" });
  load();

  async function load(cursor) {
    try {
      const { results, next } = await api.removed(cursor);
      list.append(...results.map(row));
      more.hidden = !next;
      more.dataset.cursor = next ?? "";
      count();
    } catch (error) {
      note.textContent = error.message;
    }
  }

  function count() {
    note.textContent = list.childElementCount ? gettext("What you delete can be brought back for a week.") : gettext("There is nothing in the bin.");
  }

  function row(summary) {
    const title = summary.title || gettext("Without a title");
    const button = el("button", { type: "button", class: "button quiet small", "aria-label": fill(gettext("Bring “%(title)s” back"), { title }) }, gettext("Bring back"));
    const item = el("li", { class: "bin-row" }, el("span", { class: "bin-words" }, el("span", { class: "row-title" }, title), el("span", { class: "soft small" }, fill(gettext("gone for good on %(date)s"), { date: dateTime(summary.restorable_until) }))), button);
    button.addEventListener("click", async () => {
      try {
        onrestore(await api.restore(summary.id));
      } catch (error) {
        return toastError(error);
      }
      const next = item.nextElementSibling ?? item.previousElementSibling;
      item.remove();
      count();
      (next?.querySelector("button") ?? list.closest("dialog").querySelector(".sheet-head button")).focus();
    });
    return item;
  }
}
