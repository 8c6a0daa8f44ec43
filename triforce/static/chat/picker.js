import { MOST_BESIDE } from "./boot.js";
import { openDialog } from "./dialog.js";
import { coarse, el, icon, iconButton } from "./dom.js";
import { fill, gettext, ngettext, number, short } from "./text.js";
import { toastError } from "./toast.js";

/**
 * The choice of a model, or of two to four to compare.
 * @param {import("./models.js").Models} models
 * @param {{chosen: string[], several?: boolean, onpick: (ids: string[]) => void}} options
 */
export function openPicker(models, { chosen, several = MOST_BESIDE > 1, onpick }) {
  const ticked = new Set(chosen.length > 1 ? chosen : []);
  const search = el("input", { class: "input", type: "search", placeholder: gettext("Search by name, provider or skill"), "aria-label": gettext("Search models"), autocomplete: "off" });
  const list = el("div", { class: "picker-list" });
  const compare = el("button", { type: "button", class: "button", onclick: () => pick([...ticked]) });
  const foot = el("div", { class: "picker-foot", hidden: true }, compare);
  const hint = el("p", { class: "soft small picker-hint" }, several ? fill(gettext("Tick up to %(most)s to have them answer side by side."), { most: number(MOST_BESIDE) }) : "");
  const dialog = openDialog(gettext("Model"), [search, hint, list, foot], { class: "picker" });

  function pick(ids) {
    dialog.close();
    onpick(ids);
  }

  function tick(id, on) {
    if (on) ticked.add(id);
    else ticked.delete(id);
    foot.hidden = ticked.size < 2;
    compare.textContent = fill(ngettext("Compare %(count)s model", "Compare %(count)s models", ticked.size), { count: ticked.size });
    for (const box of list.querySelectorAll("input[type=checkbox]")) box.disabled = ticked.size >= MOST_BESIDE && !ticked.has(box.value);
  }

  function row(model) {
    const facts = [
      ...models.badges(model).map((badge) => el("span", { class: "badge" }, badge)),
      model.context_window ? el("span", { class: "soft small number" }, fill(gettext("%(context)s context"), { context: short(model.context_window) })) : "",
      model.unlimited ? el("span", { class: "badge good" }, gettext("free of tokens")) : "",
    ];
    const current = chosen.includes(model.id);
    const choose = el(
      "button",
      { type: "button", class: "picker-choose", "aria-current": current ? "true" : null, onclick: () => pick([model.id]) },
      el("span", { class: "picker-name" }, el("span", { class: `dot ${model.status}`, title: models.state(model) }), model.name, el("span", { class: "visually-hidden" }, `(${models.state(model)})`), current && icon("check")),
      el("span", { class: "picker-facts" }, ...facts),
    );
    const favourite = models.isFavourite(model.id);
    const star = iconButton("star", fill(favourite ? gettext("%(model)s: no longer a favourite") : gettext("%(model)s: a favourite"), { model: model.name }), () => models.toggleFavourite(model.id).catch(toastError), { "aria-pressed": String(favourite), class: "star" });
    const box = several && el("input", { type: "checkbox", value: model.id, checked: ticked.has(model.id), "aria-label": fill(gettext("Compare %(model)s"), { model: model.name }), onchange: (event) => tick(model.id, event.target.checked) });
    return el("li", { class: "picker-row" }, choose, star, box);
  }

  function draw() {
    const groups = models.grouped(search.value);
    list.replaceChildren(...groups.map(([name, found]) => el("section", {}, el("h3", { class: "group-name" }, name), el("ul", { class: "plain" }, ...found.map(row)))));
    if (!groups.length) list.append(el("p", { class: "soft" }, gettext("No model of that name in my woods.")));
    if (models.upgrade && !search.value) list.append(el("p", { class: "soft small" }, gettext("There are more models in the higher tiers."), " ", el("a", { href: "/prices" }, gettext("See the tiers"))));
    for (const id of ticked) tick(id, true);
  }

  dialog.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const rows = [...list.querySelectorAll(".picker-choose")];
    const at = rows.indexOf(document.activeElement.closest("li")?.querySelector(".picker-choose"));
    event.preventDefault();
    if (at <= 0 && event.key === "ArrowUp") search.focus();
    else rows[event.key === "ArrowDown" ? Math.min(at + 1, rows.length - 1) : at - 1]?.focus();
  });
  search.addEventListener("keydown", (event) => {
    const only = list.querySelector(".picker-choose");
    if (event.key === "Enter" && search.value && only) only.click();
  });
  search.addEventListener("input", draw);
  models.addEventListener("change", draw);
  dialog.addEventListener("close", () => models.removeEventListener("change", draw));
  draw();
  (coarse.matches ? (list.querySelector("[aria-current]") ?? search) : search).focus();
}
