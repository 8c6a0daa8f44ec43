import { blocks, drawn } from "../chat/markdown.js";

// The server's text of an answer stands until it comes into view; then it gets its colours and formulas.
const near = new IntersectionObserver(
  (seen) => {
    for (const { target, isIntersecting } of seen) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      target.replaceChildren(drawn(blocks(JSON.parse(target.nextElementSibling.textContent))));
    }
  },
  { rootMargin: "600px" },
);
for (const text of document.querySelectorAll(".shared .answer-text")) near.observe(text);
