import { wordsOf } from "./text.js";

/**
 * Marks words where they stand in an element, in any case.
 * @param {HTMLElement} element
 * @param {string} words
 * @returns {Range|null} the first place
 */
export function markWords(element, words) {
  const asked = wordsOf(words);
  const ranges = [];
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const { currentNode: node } = walker;
    const text = node.data.toLowerCase();
    for (const word of asked) {
      for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + word.length)) {
        const range = new Range();
        range.setStart(node, at);
        range.setEnd(node, Math.min(at + word.length, node.length));
        ranges.push(range);
      }
    }
  }
  CSS.highlights?.set("found", new Highlight(...ranges));
  return ranges[0] ?? null;
}

/** Nothing is marked any more. */
export const unmarkWords = () => CSS.highlights?.delete("found");

/** Whether any of the words stands in a turn's question or answer. */
export function holds(turn, words) {
  const text = `${turn.prompt}\n${turn.columns.map((one) => one.answer).join("\n")}`.toLowerCase();
  return wordsOf(words).some((word) => text.includes(word));
}
