const language = document.documentElement.lang || "de";
const numbers = new Intl.NumberFormat(language);
const compact = new Intl.NumberFormat(language, { notation: "compact", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit" });
const moment = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
const month = new Intl.DateTimeFormat(language, { month: "long", year: "numeric" });

/** A sentence in the page's language. */
export const gettext = (sentence) => window.gettext?.(sentence) ?? sentence;

/** A sentence with its plural in the page's language. */
export const ngettext = (one, many, count) => window.ngettext?.(one, many, count) ?? (count === 1 ? one : many);

/** `%(name)s` in a sentence, filled. */
export const fill = (sentence, values) => sentence.replace(/%\((\w+)\)s/g, (_whole, name) => String(values[name] ?? ""));

/** The words of a search, in small letters. */
export const wordsOf = (words) => words.toLowerCase().split(/\s+/).filter(Boolean);

/** 1,234 */
export const number = (value) => numbers.format(value);

/** 128K */
export const short = (value) => compact.format(value);

/** 14:05 */
export const time = (date) => clock.format(new Date(date));

/** 3 May 2026, 14:05 */
export const dateTime = (date) => moment.format(new Date(date));

/** May 2026 */
export const monthOf = (date) => month.format(new Date(date));

/** 12 kB */
export function bytes(size) {
  const unit = size < 1e6 ? "kilobyte" : "megabyte";
  const value = size / (unit === "megabyte" ? 1e6 : 1e3);
  return new Intl.NumberFormat(language, { style: "unit", unit, maximumFractionDigits: value < 10 ? 1 : 0 }).format(value);
}

/** $0.002, as exact as it has to be. */
export function dollars(amount) {
  const digits = amount > 0 && amount < 0.01 ? { maximumSignificantDigits: 2 } : { maximumFractionDigits: 2 };
  return new Intl.NumberFormat(language, { style: "currency", currency: "USD", ...digits }).format(amount);
}

/** 1,234 tokens */
export const tokens = (count) => fill(ngettext("%(count)s token", "%(count)s tokens", count), { count: number(count) });
