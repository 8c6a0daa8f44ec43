const FRESH = {
  parent: null, siblings: [], group: null, prompt: "", attachments: [], answer: "", reasoning: "", seq: 0, model: "", requested_model: "",
  backend: "", state: "running", error: null, finish_reason: null, request_id: "", tokens_used: null, input_tokens: null, output_tokens: null,
  latency_ms: null, fallback_used: false, warnings: [], created: "",
};

/** A prompt with its answer, in the server's words; who shows it is told of each change ("text" or "state"). */
export class Turn {
  #watchers = new Set();

  constructor(row) {
    const { alternatives = [], ...fields } = row;
    Object.assign(this, FRESH, fields);
    this.started = row.started ?? true;
    this.alternatives = alternatives.map((other) => (other.id === this.id ? this : new Turn(other)));
  }

  /** One that is about to be asked for. */
  static asked(frame, { parent, attachments }) {
    return new Turn({
      id: frame.id, parent, group: frame.group ?? null, prompt: frame.message, attachments, siblings: [frame.id],
      requested_model: frame.model, model: frame.model, started: false, created: new Date().toISOString(),
    });
  }

  get running() {
    return this.state === "running";
  }

  /** The turns that stand side by side with this one, itself included. */
  get columns() {
    return this.alternatives.length > 1 ? this.alternatives : [this];
  }

  /** Whether the server says nothing new about it. */
  same(row) {
    const [ours, theirs] = [this.columns, row.alternatives?.length ? row.alternatives : [row]];
    return ours.length === theirs.length && ours.every((one, at) => one.id === theirs[at].id && one.state === theirs[at].state && one.siblings.join() === theirs[at].siblings.join());
  }

  watch(watcher) {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  tell(what) {
    for (const watcher of this.#watchers) watcher(what);
  }

  /** Takes a frame of the socket; one that is here already changes nothing. Says whether a piece is missing before it. */
  take(frame) {
    if (frame.type === "started") this.started = true;
    if (this.error?.doubted && frame.type !== "done" && frame.type !== "error") {
      Object.assign(this, { state: "running", error: null });
      this.tell("state");
    }
    if (frame.type === "delta" || frame.type === "reasoning") {
      if (frame.seq <= this.seq || !this.running) return false;
      if (frame.seq > this.seq + 1) return true;
      this.seq = frame.seq;
      this[frame.type === "delta" ? "answer" : "reasoning"] += frame.text;
      this.tell("text");
    }
    if (frame.type === "done") this.#end(frame);
    if (frame.type === "error") this.fail(frame);
    return false;
  }

  #end({ type, id, response, conversation, tier, tokens_remaining, ...fields }) {
    Object.assign(this, fields, { answer: response, state: fields.finish_reason === "cancelled" ? "cancelled" : "done", error: null });
    this.tell("state");
  }

  /** It ended badly; what had come stays. */
  fail(error) {
    Object.assign(this, { state: "failed", error });
    this.tell("state");
  }
}
