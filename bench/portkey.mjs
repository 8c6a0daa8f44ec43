// Portkey 1.15.2 adds headers to streamed answers, which Node's fetch forbids on its own responses: every stream would end in a 500.
// So a streamed answer gets headers that may be written. Nothing else is touched.
const original = globalThis.fetch;
globalThis.fetch = async (...request) => {
  const answer = await original(...request);
  if (!answer.headers.get("content-type")?.startsWith("text/event-stream")) return answer;
  const open = new Headers(answer.headers);
  return new Proxy(answer, {
    get: (target, name) => {
      if (name === "headers") return open;
      const value = target[name];
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
};
