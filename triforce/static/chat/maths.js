import { sanitised } from "./sanitiser.js";

const DELIMITERS = [
  { open: "$$", close: "$$", display: true },
  { open: "\\[", close: "\\]", display: true },
  { open: "\\(", close: "\\)", display: false },
];
let katex = null;

function delimited(src) {
  for (const { open, close, display } of DELIMITERS) {
    if (!src.startsWith(open)) continue;
    const end = src.indexOf(close, open.length);
    const tex = src.slice(open.length, end);
    if (end > 0 && tex.trim() && !/\n\s*\n/.test(tex)) return { raw: src.slice(0, end + close.length), tex: tex.trim(), display };
  }
  return null;
}

/** A pair of single dollars is mathematics only where it cannot be money: tight at both ends, no digit after it. */
function dollars(src) {
  const found = /^\$(?![\s$])((?:\\.|[^\\$\n])*?[^\s\\$]|\S)\$(?![\d$])/.exec(src);
  return found && { raw: found[0], tex: found[1], display: false };
}

const token = (type, found) => found && { type, ...found };
const start = (src) => {
  const at = src.search(/\$|\\[([]/);
  return at < 0 ? undefined : at;
};

/** What marked has to know of mathematics. */
export const mathsExtensions = [
  {
    name: "mathsBlock",
    level: "block",
    start: (src) => {
      const at = src.search(/^(?:\$\$|\\\[)/m);
      return at < 0 ? undefined : at;
    },
    tokenizer(src) {
      const found = delimited(src);
      if (!found?.display) return undefined;
      const rest = /^[ \t]*(?:\n|$)/.exec(src.slice(found.raw.length));
      return rest ? token("mathsBlock", { ...found, raw: found.raw + rest[0] }) : undefined;
    },
    renderer: ({ tex }) => `<p>${placeholder(tex, true)}</p>`,
  },
  {
    name: "maths",
    level: "inline",
    start,
    tokenizer: (src) => token("maths", delimited(src) ?? dollars(src)) ?? undefined,
    renderer: ({ tex, display }) => placeholder(tex, display),
  },
];

function placeholder(tex, display) {
  const escaped = tex.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
  return `<span data-tex="${display ? "display" : "inline"}">${escaped}</span>`;
}

/** Draws the formulas below `root`; what KaTeX cannot read stays as it was written. */
export async function drawMaths(root) {
  const spans = root.querySelectorAll("[data-tex]");
  if (!spans.length) return;
  katex ??= import("../vendor/katex/katex.js").then((module) => module.default);
  const { renderToString } = await katex;
  for (const span of spans) draw(span, renderToString);
}

function draw(span, renderToString) {
  const display = span.dataset.tex === "display";
  try {
    const html = renderToString(span.textContent, { output: "mathml", displayMode: display, trust: false, strict: "ignore", maxExpand: 500, maxSize: 20 });
    span.replaceChildren(sanitised(html.replace(/ style="[^"]*"/g, ""), "maths"));
    if (display) span.tabIndex = 0; // a wide formula scrolls
    span.classList.add("maths", ...(display ? ["display"] : []));
  } catch {
    span.classList.add("maths", "unread");
  }
  delete span.dataset.tex;
}
