import { boot } from "./boot.js";
import { el, icon } from "./dom.js";
import { andBack } from "./here.js";
import { dateTime, fill, gettext } from "./text.js";

const MODEL_IS_WRONG = new Set(["model_not_in_tier", "model_not_found", "feature_not_in_tier", "quota_exceeded", "upstream_unavailable"]);

/**
 * What went wrong, in its place: Brumo's saying, the reason, and the way on.
 * @param {{code?: string, detail?: string, saying?: string, resets_at?: string, models_available_now?: string[]}} error
 * @param {{saying?: string, models: Object, retry: ((model?: string) => void)|null, choose?: () => void}} on `choose`: another model
 */
export function errorCard(error, { saying, models, retry, choose }) {
  const others = (error?.models_available_now ?? []).slice(0, 3);
  const buttons = [];
  if (retry) buttons.push(el("button", { type: "button", class: "button quiet small", onclick: () => retry() }, icon("again"), gettext("Try again")));
  if (retry) for (const id of others) buttons.push(el("button", { type: "button", class: "button quiet small", onclick: () => retry(id) }, fill(gettext("With %(model)s"), { model: models.name(id) })));
  if (choose && MODEL_IS_WRONG.has(error?.code)) buttons.push(el("button", { type: "button", class: "button quiet small", onclick: choose }, gettext("Choose another model")));
  if (error?.code === "quota_exceeded" || error?.code === "model_not_in_tier") {
    buttons.push(boot.is_guest ? el("a", { class: "button plain small", href: andBack("/accounts/signup/") }, gettext("Sign up for free")) : el("a", { class: "button plain small", href: "/prices" }, gettext("See the tiers")));
  }
  return el(
    "div",
    { class: "error-card", role: "alert" },
    saying && el("p", { class: "saying" }, fill(gettext("“%(saying)s”"), { saying })),
    el("p", {}, error?.detail || gettext("The answer did not come through.")),
    error?.resets_at && el("p", { class: "soft small" }, fill(gettext("There are new tokens at %(time)s."), { time: dateTime(error.resets_at) })),
    buttons.length > 0 && el("div", { class: "row" }, ...buttons),
  );
}
