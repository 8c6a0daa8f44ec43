import { boot } from "./boot.js";
import { el, icon } from "./dom.js";
import { dateTime, fill, gettext } from "./text.js";

/**
 * What went wrong, in its place: Brumo's saying, the reason, and the way on.
 * @param {{code?: string, detail?: string, saying?: string, resets_at?: string, models_available_now?: string[]}} error
 * @param {{saying?: string, models: Object, retry: ((model?: string) => void)|null}} on
 */
export function errorCard(error, { saying, models, retry }) {
  const others = (error?.models_available_now ?? []).slice(0, 3);
  const buttons = [];
  if (retry) buttons.push(el("button", { type: "button", class: "button quiet small", onclick: () => retry() }, icon("again"), gettext("Try again")));
  if (retry) for (const id of others) buttons.push(el("button", { type: "button", class: "button quiet small", onclick: () => retry(id) }, fill(gettext("With %(model)s"), { model: models.name(id) })));
  if (error?.code === "quota_exceeded" || error?.code === "model_not_in_tier") {
    buttons.push(boot.is_guest ? el("a", { class: "button plain small", href: "/accounts/signup/" }, gettext("Sign up for free")) : el("a", { class: "button plain small", href: "/prices" }, gettext("See the tiers")));
  }
  return el(
    "div",
    { class: "error-card", role: "alert" },
    saying && el("p", { class: "saying" }, `„${saying}“`),
    el("p", {}, error?.detail || gettext("The answer did not come through.")),
    error?.resets_at && el("p", { class: "soft small" }, fill(gettext("There are new tokens at %(time)s."), { time: dateTime(error.resets_at) })),
    buttons.length > 0 && el("div", { class: "row" }, ...buttons),
  );
}
