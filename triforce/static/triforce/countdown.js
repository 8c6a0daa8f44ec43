// <time datetime="…" data-countdown>: the rest until then, by the second, beside the absolute time that stands there anyway.
// At zero the page is loaded anew: what it counted down to has come.
function words(seconds) {
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return parts.map((part) => String(part).padStart(2, "0")).join(":");
}

function tick(time) {
  const rest = Math.ceil((Date.parse(time.dateTime) - Date.now()) / 1000);
  if (rest <= 0) location.reload();
  else {
    time.textContent = words(rest);
    setTimeout(tick, 1000 - (Date.now() % 1000), time);
  }
}

for (const time of document.querySelectorAll("time[data-countdown]")) tick(time);
