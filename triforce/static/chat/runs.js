const DOUBTS = [500, 3000]; // milliseconds after which it is asked again about a turn that may go on
const OURS = new Set(["service_unavailable", "internal_error"]); // what may be wrong with asking about it, and not with the turn

/**
 * The answers that are being written. Each is asked for again after a lost line: one that had not started by its first frame, whose
 * id the server knows if it came through, and any other by "resume" after the last piece that is here.
 * Events, with {turn, frame}: "started", "done", "doubted" (it may have failed), "failed", "refused" (nothing was saved).
 */
export class Runs extends EventTarget {
  #running = new Map(); // id -> {turn, frame until it has started}

  constructor(socket) {
    super();
    this.socket = socket;
    socket.addEventListener("ready", () => this.#again());
    socket.addEventListener("frame", ({ detail }) => this.#take(detail));
  }

  get size() {
    return this.#running.size;
  }

  has(id) {
    return this.#running.has(id);
  }

  start(turn, frame) {
    this.#running.set(turn.id, { turn, frame, doubts: 0 });
    this.socket.send(frame);
  }

  /** Listens to a turn that runs on the server. */
  resume(turn) {
    if (this.#running.get(turn.id)?.turn === turn) return;
    const run = { turn, frame: null, doubts: 0 };
    this.#running.set(turn.id, run);
    this.#ask(run);
  }

  stop(turn) {
    const run = this.#running.get(turn.id);
    if (run) run.cancelled = true; // said again after a lost line
    this.socket.send({ type: "cancel", id: turn.id });
  }

  #ask({ turn, frame, cancelled }) {
    this.socket.send(frame ?? { type: "resume", id: turn.id, after: turn.seq });
    if (cancelled) this.socket.send({ type: "cancel", id: turn.id });
  }

  #again() {
    for (const run of this.#running.values()) {
      run.waiting = false;
      this.#ask(run);
    }
  }

  #take(frame) {
    const run = this.#running.get(frame.id);
    if (!run) return;
    const { turn } = run;
    if (frame.type === "error" && OURS.has(frame.code) && run.doubts < DOUBTS.length) return this.#doubt(run, frame);
    if (frame.type === "error" && run.frame) {
      this.#running.delete(frame.id);
      this.#tell("refused", { turn, frame, asked: run.frame });
      return;
    }
    const first = run.frame && (frame.type === "started" || frame.type === "done");
    if (frame.type !== "pong") run.frame = null;
    const missing = turn.take(frame);
    if (missing && !run.waiting) this.#ask(run);
    run.waiting = missing;
    if (first) this.#tell("started", { turn, frame });
    if (frame.type === "done" || frame.type === "error") {
      this.#running.delete(frame.id);
      this.#tell(frame.type === "done" ? "done" : "failed", { turn, frame });
    }
  }

  /** Is it true? One that has started goes on or ended meanwhile, and says so when it is asked; the other is asked for once more. */
  #doubt(run, frame) {
    const pause = DOUBTS[run.doubts++];
    setTimeout(() => this.#running.get(frame.id) === run && this.#ask(run), pause);
    if (run.frame) return;
    run.doubts = DOUBTS.length; // its row is believed
    run.turn.fail({ ...frame, doubted: true });
    this.#tell("doubted", { turn: run.turn, frame });
  }

  #tell(what, detail) {
    this.dispatchEvent(new CustomEvent(what, { detail }));
  }
}
