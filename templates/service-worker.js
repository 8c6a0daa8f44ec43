// Keeps one page and its few files for when the line is dead. Everything else goes past it: no answer of the API and no
// page of an account is ever kept.
const NAME = "offline-{{ version }}";
const KEPT = {{ kept|safe }};
const [PAGE] = KEPT;

async function keep() {
  const cache = await caches.open(NAME);
  await cache.addAll(KEPT.map((path) => new Request(path, { cache: "reload" })));
  await self.skipWaiting();
}

async function tidy() {
  for (const name of await caches.keys()) {
    if (name.startsWith("offline-") && name !== NAME) await caches.delete(name);
  }
  await self.clients.claim();
}

async function orKept(request, path) {
  try {
    return await fetch(request);
  } catch (error) {
    const kept = await caches.match(path);
    if (kept) return kept;
    throw error;
  }
}

self.addEventListener("install", (event) => event.waitUntil(keep()));
self.addEventListener("activate", (event) => event.waitUntil(tidy()));
self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET") return;
  const { origin, pathname } = new URL(request.url);
  if (origin !== self.location.origin) return;
  if (request.mode === "navigate") event.respondWith(orKept(request, PAGE));
  else if (KEPT.includes(pathname)) event.respondWith(orKept(request, pathname));
});
