import { Lexer, Marked } from "../vendor/marked/marked.js";
import { codeFigure } from "./code.js";
import { el } from "./dom.js";
import { drawMaths, mathsExtensions } from "./maths.js";
import { sanitised } from "./sanitiser.js";
import { gettext } from "./text.js";

const escape = (text) => text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

// A document that only parses a handler or a style already breaks the policy of the page it was made in: of HTML, tags without
// attributes are tags, and everything else is text.
const BARE = /(<\/?(?:b|br|del|details|em|hr|i|ins|kbd|li|mark|ol|p|s|small|strong|sub|summary|sup|u|ul)\s*\/?>)/i;
const bare = (html) => html.split(BARE).map((part, at) => (at % 2 ? part : escape(part))).join("");

const marked = new Marked({
  gfm: true,
  breaks: true,
  extensions: mathsExtensions,
  renderer: {
    code: ({ text, lang }) => `<pre data-lang="${escape((lang ?? "").match(/^[\w+#.-]*/)[0])}"><code>${escape(text)}\n</code></pre>`,
    html: ({ text }) => bare(text),
    image: ({ href, text }) => `<a href="${escape(href)}">${escape(text || gettext("Picture"))}</a>`,
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
  },
});

/**
 * The top-level blocks of a text.
 * @param {string} text
 * @param {Object} links the link definitions met so far; those of this text are added
 */
export function blocks(text, links = {}) {
  const lexer = new Lexer(marked.defaults);
  Object.assign(lexer.tokens.links, links);
  const tokens = lexer.lex(text);
  Object.assign(links, lexer.tokens.links);
  return tokens;
}

/** Blocks as a fragment. `settled` ones get their colours and formulas; one that still grows would flicker. */
export function drawn(tokens, { settled = true } = {}) {
  const fragment = sanitised(marked.parser(tokens));
  for (const pre of fragment.querySelectorAll("pre")) pre.replaceWith(codeFigure(pre.textContent, pre.dataset.lang, settled));
  for (const table of fragment.querySelectorAll("table")) {
    const scroll = el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": gettext("Table") });
    table.replaceWith(scroll);
    scroll.append(table);
    table.classList.add("table");
  }
  if (settled) drawMaths(fragment);
  return fragment;
}
