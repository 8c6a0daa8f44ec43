import { boot } from "./boot.js";
import { gettext } from "./text.js";

/** What the server refused, with its status and code. */
export class ApiError extends Error {
  constructor(status, code, detail) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

/**
 * Asks the server. A `body` that is no FormData goes as JSON.
 * @param {string} method
 * @param {string} path
 * @param {any} [body]
 * @returns {Promise<any>} the answer's JSON
 */
export async function ask(method, path, body) {
  const headers = { Accept: "application/json", "X-CSRFToken": boot.csrf };
  const form = body instanceof FormData;
  if (body !== undefined && !form) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method, headers, credentials: "same-origin", body: form || body === undefined ? body : JSON.stringify(body) });
  } catch {
    throw new ApiError(0, "offline", gettext("The server cannot be reached."));
  }
  const read = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new ApiError(answer.status, read.error?.code ?? "", read.detail ?? gettext("That did not work."));
  return read;
}

const conversation = (id, rest = "") => `/v1/conversations/${id}${rest}`;

/** The addresses of the chat. */
export const api = {
  conversations: (query) => ask("GET", `/v1/conversations?${new URLSearchParams(query)}`),
  conversation: (id) => ask("GET", conversation(id)),
  older: (id, before) => ask("GET", conversation(id, `/turns?before=${before}&limit=40`)),
  change: (id, fields) => ask("PATCH", conversation(id), fields),
  remove: (id) => ask("DELETE", conversation(id)),
  restore: (id) => ask("POST", conversation(id, "/restore"), {}),
  share: (id, days) => ask("POST", conversation(id, "/share"), { days }),
  unshare: (id) => ask("DELETE", conversation(id, "/share")),
  exported: (id, as) => conversation(id, `/export?as=${as}`),
  exportedAll: "/v1/conversations/export",
  importFile: (body) => ask("POST", "/v1/conversations/import", body),
  folders: () => ask("GET", "/v1/conversations/folders"),
  attach: (form) => ask("POST", "/v1/attachments", form),
  detach: (id) => ask("DELETE", `/v1/attachments/${id}`),
  models: () => ask("GET", "/v1/client/models?detail=1"),
  settings: (settings) => ask("POST", `/v1/users/${encodeURIComponent(boot.user)}/settings`, { settings }),
};
