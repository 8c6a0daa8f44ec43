import { boot } from "./boot.js";
import { gettext } from "./text.js";

/** What the server refused, with its status and code; `retryAfter`: the seconds after which to ask again, 0 where it said none. */
export class ApiError extends Error {
  constructor(status, code, detail, retryAfter = 0) {
    super(detail);
    Object.assign(this, { status, code, retryAfter });
  }
}

/**
 * Asks the server. A `body` that is no FormData goes as JSON.
 * @param {string} method
 * @param {string} path
 * @param {any} [body]
 * @param {RequestInit} [options] what fetch takes besides
 * @returns {Promise<any>} the answer's JSON
 */
export async function ask(method, path, body, options = {}) {
  const headers = { Accept: "application/json", "X-CSRFToken": boot.csrf };
  const form = body instanceof FormData;
  if (body !== undefined && !form) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { ...options, method, headers, credentials: "same-origin", body: form || body === undefined ? body : JSON.stringify(body) });
  } catch {
    throw new ApiError(0, "offline", gettext("The server cannot be reached."));
  }
  const read = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new ApiError(answer.status, read.error?.code ?? "", read.detail ?? gettext("That did not work."), Number(answer.headers.get("Retry-After")));
  return read;
}

const conversation = (id, rest = "") => `/v1/conversations/${id}${rest}`;

/** The addresses of the chat. */
export const api = {
  conversations: (query) => ask("GET", `/v1/conversations?${new URLSearchParams(query)}`),
  conversation: (id) => ask("GET", conversation(id)),
  end: (id) => ask("GET", conversation(id, "/turns?limit=1"), undefined, { signal: AbortSignal.timeout(3000) }),
  older: (id, before) => ask("GET", conversation(id, `/turns?before=${before}&limit=40`)),
  change: (id, fields) => ask("PATCH", conversation(id), fields),
  removed: (cursor) => ask("GET", `/v1/conversations?${new URLSearchParams({ deleted: true, ...(cursor && { cursor }) })}`),
  remove: (id) => ask("DELETE", conversation(id)),
  restore: (id) => ask("POST", conversation(id, "/restore"), {}),
  share: (id, days) => ask("POST", conversation(id, "/share"), { days }),
  unshare: (id) => ask("DELETE", conversation(id, "/share")),
  exported: (id, as) => conversation(id, `/export?as=${as}`),
  exportedAll: "/v1/conversations/export",
  importFile: (form) => ask("POST", "/v1/conversations/import", form),
  folders: () => ask("GET", "/v1/conversations/folders"),
  attach: (form) => ask("POST", "/v1/attachments", form),
  detach: (id, options) => ask("DELETE", `/v1/attachments/${id}`, undefined, options),
  models: () => ask("GET", "/v1/client/models?detail=1"),
  settings: (settings) => ask("POST", `/v1/users/${encodeURIComponent(boot.user)}/settings`, { settings }),
};
