import { api } from "./api.js";
import { boot } from "./boot.js";
import { copyText } from "./code.js";
import { openDialog } from "./dialog.js";
import { el, icon } from "./dom.js";
import { dateTime, fill, gettext, ngettext } from "./text.js";
import { toastError } from "./toast.js";

const days = (count) => (count ? fill(ngettext("%(count)s day", "%(count)s days", count), { count }) : gettext("Until I take it back"));

/**
 * The link under which others may read a conversation.
 * @param {string} id
 * @param {{url: string, expires: string|null}|null} share
 * @param {(share: Object|null) => void} onchange
 */
export function openShare(id, share, onchange) {
  const place = el("div", { class: "stack" });
  openDialog(gettext("Share"), [place], { class: "small" });

  const change = (promise, read) =>
    promise.then((answer) => {
      share = read(answer);
      onchange(share);
      draw();
    }, toastError);

  function draw() {
    place.replaceChildren(...(share ? shared() : offer()));
    place.querySelector("input, select, button")?.focus();
  }

  function shared() {
    const url = new URL(share.url, location.origin).href;
    const field = el("input", { class: "input", readOnly: true, value: url, "aria-label": gettext("Link"), onfocus: (event) => event.target.select() });
    const copy = el("button", { type: "button", class: "button" }, icon("copy"), el("span", {}, gettext("Copy link")));
    copy.addEventListener("click", () => copyText(url, copy));
    return [
      el("p", {}, gettext("Whoever has this link can read the conversation as it is now. Nobody can write in it.")),
      field,
      el("p", { class: "soft small" }, share.expires ? fill(gettext("It ends on %(date)s."), { date: dateTime(share.expires) }) : gettext("It stays until you take it back.")),
      el("div", { class: "row" }, copy, el("button", { type: "button", class: "button quiet", onclick: () => change(api.unshare(id), () => null) }, gettext("Take the link back"))),
    ];
  }

  function offer() {
    const choice = el("select", { id: "share-days" }, ...boot.share_days.map((count) => el("option", { value: count }, days(count))));
    return [
      el("p", {}, gettext("Makes a link under which others can read this conversation, without an account. You can take it back at any time.")),
      el("div", { class: "field" }, el("label", { htmlFor: "share-days" }, gettext("How long")), choice),
      el("div", { class: "row" }, el("button", { type: "button", class: "button", onclick: () => change(api.share(id, Number(choice.value)), (answer) => answer) }, icon("link"), gettext("Make a link"))),
    ];
  }

  draw();
}
