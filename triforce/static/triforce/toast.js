// A sentence at the edge that goes by itself. toast(words, kind), kind: "", good, warn or bad.
const SECONDS = 6;

function shelf() {
  const found = document.querySelector(".toasts");
  if (found) return found;
  const made = document.createElement("div");
  made.className = "toasts";
  made.setAttribute("role", "status");
  document.body.append(made);
  return made;
}

export function toast(words, kind = "") {
  const box = document.createElement("div");
  box.className = `notice ${kind}`.trim();
  const line = document.createElement("p");
  line.textContent = words;
  box.append(line);
  shelf().append(box);
  setTimeout(() => box.remove(), SECONDS * 1000);
}

for (const button of document.querySelectorAll("[data-toast]")) {
  button.addEventListener("click", () => toast(button.dataset.toast, button.dataset.kind));
}
