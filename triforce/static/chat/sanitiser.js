import createPurifier from "../vendor/dompurify/purify.js";
import { gettext } from "./text.js";

const TEXT = "a abbr b blockquote br caption code dd del details div dl dt em h1 h2 h3 h4 h5 h6 hr i ins kbd li mark ol p pre q s samp small span strong sub summary sup table tbody td tfoot th thead tr u ul var".split(" ");
const MATHS = "span math semantics annotation mrow mi mo mn ms mtext mspace msqrt mroot mfrac msub msup msubsup munder mover munderover mtable mtr mtd mstyle mpadded mphantom menclose".split(" ");
const MATHS_ATTRIBUTES = "xmlns encoding mathvariant displaystyle scriptlevel stretchy fence separator lspace rspace width height depth voffset minsize maxsize linethickness columnalign rowspacing columnspacing columnlines rowlines accent accentunder mathcolor mathbackground notation movablelimits symmetric largeop display".split(" ");
const COMMON = { RETURN_DOM_FRAGMENT: true, ALLOW_DATA_ATTR: false, ALLOW_ARIA_ATTR: false, SANITIZE_NAMED_PROPS: true };
const PLAIN = "title lang dir start reversed colspan rowspan align open data-tex data-lang".split(" ");
const LINKS = /^(?:https?:\/\/|mailto:)/i;

const PROFILES = {
  text: {
    ...COMMON,
    ALLOWED_TAGS: TEXT,
    ALLOWED_ATTR: ["href", ...PLAIN],
    ADD_URI_SAFE_ATTR: PLAIN, // else DOMPurify wants addresses in them, too
    ALLOWED_URI_REGEXP: LINKS,
    FORBID_CONTENTS: ["script", "style", "svg", "math", "iframe", "object", "embed", "template", "noscript", "textarea", "select", "title", "audio", "video"],
  },
  maths: { ...COMMON, ALLOWED_TAGS: MATHS, ALLOWED_ATTR: MATHS_ATTRIBUTES, FORBID_CONTENTS: ["script", "style"] },
  code: { ...COMMON, ALLOWED_TAGS: ["span"], ALLOWED_ATTR: ["class"] },
};

const purifier = createPurifier(window);

purifier.addHook("uponSanitizeElement", (node, { tagName }) => {
  if (tagName === "img" && node.parentNode) node.before(pictureLink(node.ownerDocument, node.getAttribute("src"), node.getAttribute("alt")));
});

purifier.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName === "A" && node.hasAttribute("href")) outward(node);
});

function outward(link) {
  link.setAttribute("target", "_blank");
  link.setAttribute("rel", "noopener noreferrer nofollow");
}

/** A picture from elsewhere would tell its server who reads: it is a link that may be followed. */
function pictureLink(document, src, alt) {
  const link = document.createElement("a");
  link.textContent = alt?.trim() || gettext("Picture");
  if (LINKS.test(src ?? "")) {
    link.setAttribute("href", src);
    outward(link);
  }
  return link;
}

/**
 * HTML of a stranger as a fragment that may go into the page.
 * @param {string} html
 * @param {"text"|"maths"|"code"} profile what it may consist of
 * @returns {DocumentFragment}
 */
export function sanitised(html, profile = "text") {
  return purifier.sanitize(html, PROFILES[profile]);
}
