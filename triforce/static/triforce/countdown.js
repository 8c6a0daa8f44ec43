// <time datetime="…" data-countdown="seconds">: the rest by the second, beside the absolute time that stands there anyway. The
// server says how many are left, for a computer's clock may be wrong. At zero the page is loaded anew, once for each such time.
const KEY = "countdown";

function words(seconds) {
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return parts.map((part) => String(part).padStart(2, "0")).join(":");
}

function tick(time) {
  const rest = Number(time.dataset.countdown) - performance.now() / 1000; // since the page was asked for
  time.textContent = words(Math.max(0, Math.ceil(rest)));
  if (rest > 0) setTimeout(tick, (rest % 1) * 1000 + 20, time);
  else if (sessionStorage.getItem(KEY) !== time.dateTime) {
    sessionStorage.setItem(KEY, time.dateTime);
    location.reload();
  }
}

for (const time of document.querySelectorAll("time[data-countdown]")) tick(time);
