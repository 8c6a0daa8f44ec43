// What the chat keeps in a browser of whoever is signed in (drafts, unsent messages, chosen models) goes when they sign out; on a page
// without that form, the one that says that the account is deleted, at once.
function forget() {
  const own = Object.keys(localStorage).filter((key) => key.startsWith("triforce:") && !key.startsWith("triforce:guest:"));
  for (const key of own) localStorage.removeItem(key);
}

const form = document.querySelector("main form[action$='/logout/']");
if (form) form.addEventListener("submit", forget);
else forget();
