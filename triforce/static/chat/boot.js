/** What the server told the page at its start. */
export const boot = JSON.parse(document.getElementById("boot").textContent);
