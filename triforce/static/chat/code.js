import { el, icon } from "./dom.js";
import { sanitised } from "./sanitiser.js";
import { gettext } from "./text.js";

const LONGEST = 60_000;
const core = () => import("../vendor/highlight/core.js");
const GRAMMARS = {
  bash: () => import("../vendor/highlight/bash.js"),
  c: () => import("../vendor/highlight/c.js"),
  cpp: () => import("../vendor/highlight/cpp.js"),
  csharp: () => import("../vendor/highlight/csharp.js"),
  css: () => import("../vendor/highlight/css.js"),
  diff: () => import("../vendor/highlight/diff.js"),
  go: () => import("../vendor/highlight/go.js"),
  java: () => import("../vendor/highlight/java.js"),
  javascript: () => import("../vendor/highlight/javascript.js"),
  json: () => import("../vendor/highlight/json.js"),
  markdown: () => import("../vendor/highlight/markdown.js"),
  php: () => import("../vendor/highlight/php.js"),
  python: () => import("../vendor/highlight/python.js"),
  rust: () => import("../vendor/highlight/rust.js"),
  sql: () => import("../vendor/highlight/sql.js"),
  typescript: () => import("../vendor/highlight/typescript.js"),
  xml: () => import("../vendor/highlight/xml.js"),
  yaml: () => import("../vendor/highlight/yaml.js"),
};
const OTHER_NAMES = {
  "c#": "csharp", "c++": "cpp", cs: "csharp", console: "bash", golang: "go", h: "c", htm: "xml", html: "xml", js: "javascript", jsx: "javascript",
  md: "markdown", patch: "diff", py: "python", rs: "rust", scss: "css", sh: "bash", shell: "bash", svg: "xml", ts: "typescript", tsx: "typescript",
  yml: "yaml", zsh: "bash",
};

/** A block of code with its language and a button that copies it. */
export function codeFigure(source, language = "", settled = true) {
  const code = el("code", {}, source);
  const label = language || gettext("Text");
  const copy = el("button", { type: "button", class: "code-copy", "data-copy": "" }, icon("copy"), el("span", {}, gettext("Copy")));
  copy.addEventListener("click", () => copyText(code.textContent, copy));
  const pre = el("pre", { tabIndex: 0, role: "region", "aria-label": `${gettext("Code")}: ${label}` }, code);
  if (settled) colour(code, language.toLowerCase());
  return el("figure", { class: "code", data: { lang: language } }, el("figcaption", {}, el("span", {}, label), copy), pre);
}

async function colour(code, language) {
  const name = GRAMMARS[language] ? language : OTHER_NAMES[language];
  const source = code.textContent;
  if (!name || source.length > LONGEST) return;
  const [{ default: highlight }, { default: grammar }] = await Promise.all([core(), GRAMMARS[name]()]);
  if (!highlight.getLanguage(name)) highlight.registerLanguage(name, grammar);
  code.replaceChildren(sanitised(highlight.highlight(source, { language: name, ignoreIllegals: true }).value, "code"));
}

/** Puts text on the clipboard and says so on the button. */
export async function copyText(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = el("textarea", { class: "visually-hidden", value: text });
    document.body.append(field);
    field.select();
    document.execCommand("copy"); // plain http has no clipboard API
    field.remove();
  }
  const words = button.querySelector("span");
  const before = words ? words.textContent : button.getAttribute("aria-label");
  const say = (sentence) => (words ? (words.textContent = sentence) : button.setAttribute("aria-label", sentence));
  if (button.classList.contains("copied")) return;
  button.classList.add("copied");
  const old = button.querySelector(".icon");
  const done = icon("check");
  old?.replaceWith(done);
  say(gettext("Copied"));
  setTimeout(() => {
    button.classList.remove("copied");
    done.replaceWith(old);
    say(before);
  }, 1600);
}
