/** What the server told the page at its start. */
export const boot = JSON.parse(document.getElementById("boot").textContent);

/** How many models may answer side by side. */
export const MOST_BESIDE = boot.limits.compare;
