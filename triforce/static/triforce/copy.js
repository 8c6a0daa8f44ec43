// <button hidden data-copy="…" data-done="…">: copies, and says so for a moment. Without a script it stays hidden.
const SHOWN_MS = 2000;

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = !navigator.clipboard;
  const label = button.textContent;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = button.dataset.done;
    setTimeout(() => { button.textContent = label; }, SHOWN_MS);
  });
}
