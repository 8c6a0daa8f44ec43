import { api } from "./api.js";
import { Turn } from "./turn.js";

/**
 * The conversation on the page: the turns of one path through its tree, oldest first, as far as they are loaded.
 * Events: "path" (other turns), "grown" (older ones in front), "about" (title, folder, share …).
 */
export class Conversation extends EventTarget {
  id = null;
  path = [];
  before = null;
  about = { title: "", folder: "", pinned: false, share: null };
  settings = { system_prompt: "", parameters: {} };
  model = null;
  known = false; // is what is here all that the server has of it?
  #loading = null;
  #tails = new Map(); // turn id -> the path from it on, as it was left; of a temporary chat, which nobody else keeps

  /** @param {{id?: string|null, key?: string, temporary?: boolean}} [which] `key`: the id that a new one will have */
  constructor({ id = null, key, temporary = false } = {}) {
    super();
    Object.assign(this, { id, temporary, key: id ?? key ?? crypto.randomUUID(), known: !id });
  }

  get leaf() {
    return this.path.at(-1) ?? null;
  }

  get turns() {
    return this.path.flatMap((turn) => turn.columns);
  }

  get running() {
    return this.turns.filter((turn) => turn.running);
  }

  find(id) {
    return this.turns.find((turn) => turn.id === id);
  }

  /** Whether that turn was ever seen here, shown or as another version. */
  knows(id) {
    return this.turns.some((turn) => turn.id === id || turn.siblings.includes(id));
  }

  async load() {
    this.take(await api.conversation(this.id));
  }

  /** What a GET or PATCH answered. Turns that run here stay the same objects, with what has come since. */
  take(body) {
    const known = new Map(this.turns.map((turn) => [turn.id, turn]));
    this.id = this.key = body.id;
    this.known = true;
    this.path = body.turns.map((row) => {
      const old = known.get(row.id);
      return old?.same(row) ? old : new Turn(row);
    });
    this.before = body.before;
    this.model = body.model || this.model;
    this.settings = { system_prompt: body.system_prompt ?? "", parameters: body.parameters ?? {} };
    this.describe(body);
    this.#tell("path");
  }

  describe({ title, folder, pinned, share }) {
    for (const [name, value] of Object.entries({ title, folder, pinned, share })) if (value !== undefined) this.about[name] = value;
    this.#tell("about");
  }

  /** Loads the turns before the first one; several calls at once are one. */
  older() {
    if (!this.before) return Promise.resolve();
    this.#loading ??= api.older(this.id, this.before).then(
      ({ turns, before }) => {
        this.path.unshift(...turns.map((row) => new Turn(row)));
        this.before = before;
        this.#loading = null;
        this.#tell("grown", turns.length);
      },
      (error) => {
        this.#loading = null;
        throw error;
      },
    );
    return this.#loading;
  }

  /** Puts turns of one prompt at the end, or in the place of their sibling and what followed it. Gives back how to undo it. */
  add(turns) {
    const old = this.path;
    const [first] = turns;
    const at = this.path.findIndex((turn) => turn.parent === first.parent && turn !== first);
    const cut = at >= 0 ? at : this.path.length;
    if (turns.length > 1) for (const turn of turns) turn.alternatives = turns;
    const siblings = [...new Set([...(old[cut]?.siblings ?? []), ...turns.map((turn) => turn.id)])];
    for (const turn of [...turns, ...(old[cut] ? [old[cut]] : [])]) turn.siblings = siblings;
    this.#leave(cut);
    this.path = [...old.slice(0, cut), first];
    this.#tell("path");
    return () => {
      if (old[cut]) old[cut].siblings = siblings.filter((id) => !turns.some((turn) => turn.id === id));
      this.path = old;
      this.#tell("path");
    };
  }

  /** Leaves out one of several alternatives that was refused. */
  drop(turn) {
    const left = turn.alternatives.filter((other) => other !== turn);
    for (const other of left) other.alternatives = left;
    this.path = this.path.map((one) => (one === turn ? left[0] : one));
    this.#tell("path");
  }

  /** Shows another version of a turn, with what followed it when it was left. Of a temporary chat. */
  goBackTo(id) {
    const cut = this.path.findIndex((turn) => turn.siblings.includes(id));
    const tail = this.#tails.get(id);
    if (cut < 0 || !tail) return;
    this.#leave(cut);
    for (const turn of tail[0].columns) turn.siblings = this.path[cut].siblings;
    this.path = [...this.path.slice(0, cut), ...tail];
    this.#tell("path");
  }

  #leave(cut) {
    if (!this.temporary || !this.path[cut]) return;
    const tail = this.path.slice(cut);
    for (const turn of tail[0].columns) this.#tails.set(turn.id, tail);
  }

  /** The files of every version of every question. */
  get files() {
    const turns = [...this.path, ...[...this.#tails.values()].flat()];
    return new Set(turns.flatMap((turn) => turn.attachments.map((file) => file.id)));
  }

  /** Goes on with the newest leaf below a turn; `settled`: which of a comparison stands alone from now on. */
  async choose(id, settled = false) {
    this.take(await api.change(this.id, { [settled ? "settled" : "leaf"]: id }));
  }

  #tell(what, detail) {
    this.dispatchEvent(new CustomEvent(what, { detail }));
  }
}
