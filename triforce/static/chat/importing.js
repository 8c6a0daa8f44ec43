import { api } from "./api.js";
import { openDialog } from "./dialog.js";
import { el } from "./dom.js";
import { fill, gettext, ngettext } from "./text.js";

const MOST_BYTES = 24 * 1024 * 1024; // of a file, beside the form around it
const MOST_CONVERSATIONS = 2000; // in a file

/**
 * Takes in conversations from a file of any size: ours, or ChatGPT's export.
 * @param {() => void} oncome called as conversations arrive
 */
export function openImport(oncome) {
  const field = el("input", { type: "file", accept: ".json,application/json", id: "import-file" });
  const said = el("p", { class: "soft small", role: "status" });
  field.addEventListener("change", async () => {
    const [file] = field.files;
    if (!file) return;
    field.disabled = true;
    said.textContent = gettext("Reading …");
    try {
      said.textContent = summary(await bringIn(file, (words) => (said.textContent = words), oncome));
    } catch (error) {
      said.textContent = error instanceof SyntaxError ? gettext("That is no JSON file.") : error.message;
    }
    field.disabled = false;
    field.value = "";
  });
  openDialog(gettext("Import"), [el("p", {}, gettext("A file exported from TriForce, or conversations.json from ChatGPT's export.")), el("div", { class: "field" }, el("label", { htmlFor: field.id }, gettext("File")), field), said], { class: "small" });
}

async function bringIn(file, say, oncome) {
  const { parts, tooLarge } = split(JSON.parse(await file.text()));
  const total = { imported: 0, skipped: tooLarge };
  for (const [at, part] of parts.entries()) {
    if (parts.length > 1) say(fill(gettext("Part %(part)s of %(parts)s …"), { part: at + 1, parts: parts.length }));
    const { imported, skipped } = await sent(part);
    total.imported += imported;
    total.skipped += skipped;
    oncome();
  }
  return total;
}

/** Sends one part; where too many came in a minute, when the server says. */
async function sent(part) {
  for (;;) {
    const form = new FormData();
    form.append("file", part, "conversations.json");
    try {
      return await api.importFile(form);
    } catch (error) {
      if (error.code !== "rate_limited") throw error;
      await new Promise((resolve) => setTimeout(resolve, (error.retryAfter || 5) * 1000));
    }
  }
}

/** An export as files that the server takes. What is neither export goes as it is, for the server says what is wrong with it. */
function split(data) {
  const list = Array.isArray(data) ? data : data?.conversations;
  if (!Array.isArray(list)) return { parts: [new Blob([JSON.stringify(data)])], tooLarge: 0 };
  const groups = [[]];
  let [size, tooLarge] = [0, 0];
  for (const one of list) {
    const piece = new Blob([JSON.stringify(one)]);
    if (piece.size > MOST_BYTES) {
      tooLarge += 1;
      continue;
    }
    const group = groups.at(-1);
    if (group.length && (group.length === MOST_CONVERSATIONS || size + piece.size > MOST_BYTES)) {
      groups.push([piece]);
      size = piece.size;
    } else {
      group.push(piece);
      size += piece.size + 1;
    }
  }
  const { conversations, ...rest } = data;
  const [head, foot] = Array.isArray(data) ? ["[", "]"] : [JSON.stringify({ ...rest, conversations: [] }).slice(0, -2), "]}"];
  const parts = groups.map((group) => new Blob([head, ...group.flatMap((piece, at) => (at ? [",", piece] : [piece])), foot]));
  return { parts: tooLarge && !groups[0].length ? [] : parts, tooLarge };
}

function summary({ imported, skipped }) {
  const words = fill(ngettext("%(count)s conversation is here now.", "%(count)s conversations are here now.", imported), { count: imported });
  return skipped ? `${words} ${fill(ngettext("%(count)s was left out.", "%(count)s were left out.", skipped), { count: skipped })}` : words;
}
