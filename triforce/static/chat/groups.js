import { gettext, monthOf } from "./text.js";

const DAY = 86_400_000;

/** Under which heading a conversation of that age stands. */
export function dateGroup(changed, now = new Date()) {
  const midnight = new Date(now).setHours(0, 0, 0, 0);
  const then = new Date(changed).getTime();
  if (then >= midnight) return gettext("Today");
  if (then >= midnight - DAY) return gettext("Yesterday");
  if (then >= midnight - 7 * DAY) return gettext("The last 7 days");
  if (then >= midnight - 30 * DAY) return gettext("The last 30 days");
  return monthOf(changed);
}
