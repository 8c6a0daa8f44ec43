/** An address whose page leads back to where somebody is now. */
export const andBack = (path) => `${path}?next=${encodeURIComponent(location.pathname)}`;

/** Keeps the ways back true that the page was loaded with: <a data-back>, and the `next` of a form. */
export function keepWaysBack() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-back]");
    if (link) link.href = andBack(link.pathname);
  });
  document.addEventListener("submit", (event) => {
    const field = event.target.elements.namedItem("next");
    if (field) field.value = location.pathname;
  });
}
