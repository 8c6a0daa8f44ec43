const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15_000;
const PING_EVERY = 25_000;
const PONG_WITHIN = 10_000;
const SIGNED_OUT = 4401;
const MOST_BYTES = 1_310_720; // of a frame; a larger one ends the line
const encoder = new TextEncoder();

/** How large that is as it is sent. */
export const bytesOf = (value) => encoder.encode(JSON.stringify(value)).length;

/**
 * The line to the server. It comes back by itself; what was running is asked for by who listens to "ready".
 * Events: "frame" (detail: what came), "ready" (detail: the ready frame), "state" (detail: connecting | open | lost | signed-out:
 * whoever the page was made for is no longer, or not yet, who the server sees).
 */
export class Socket extends EventTarget {
  #socket = null;
  #pause = FIRST_PAUSE;
  #retry = 0;
  #ping = 0;
  #pong = 0;
  state = "connecting";

  /** @param {{url: string, user: string|null}} line `user`: whose page this is */
  constructor({ url, user }) {
    super();
    Object.assign(this, { url, user });
    addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => document.hidden || this.hurry());
    addEventListener("pagehide", () => this.#socket?.close());
    addEventListener("pageshow", (event) => event.persisted && this.hurry());
  }

  connect() {
    clearTimeout(this.#retry);
    const socket = (this.#socket = new WebSocket(this.url));
    socket.addEventListener("message", (event) => socket === this.#socket && this.#take(JSON.parse(event.data)));
    socket.addEventListener("close", (event) => socket === this.#socket && this.#closed(event.code));
  }

  /** Reconnects now instead of after the pause; whoever signed in again elsewhere goes on here. */
  hurry() {
    if (this.state === "lost" || this.state === "signed-out") this.connect();
  }

  /** The bytes that are left in a frame beside that one; negative: it is too large to be sent. */
  room(frame) {
    return MOST_BYTES - bytesOf(frame);
  }

  /** Sends, and says whether it could: what must not be lost is sent again at "ready". */
  send(frame) {
    if (this.state !== "open") return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  #take(frame) {
    clearTimeout(this.#pong);
    if (frame.type === "ready" && (frame.user ?? null) !== this.user) {
      const other = this.#socket;
      this.#socket = null;
      other.close();
      this.#closed(SIGNED_OUT);
    } else if (frame.type === "ready") {
      this.#pause = FIRST_PAUSE;
      this.#become("open");
      clearInterval(this.#ping);
      this.#ping = setInterval(() => this.#check(), PING_EVERY);
      this.dispatchEvent(new CustomEvent("ready", { detail: frame }));
    } else if (frame.type !== "pong") {
      this.dispatchEvent(new CustomEvent("frame", { detail: frame }));
    }
  }

  #check() {
    if (!this.send({ type: "ping" })) return;
    this.#pong = setTimeout(() => {
      const dead = this.#socket;
      this.#socket = null; // its close event may take minutes
      dead.close();
      this.#closed(1006);
    }, PONG_WITHIN);
  }

  #closed(code) {
    clearInterval(this.#ping);
    clearTimeout(this.#pong);
    if (code === SIGNED_OUT) return this.#become("signed-out");
    this.#become("lost");
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.connect(), this.#pause * (0.75 + Math.random() / 2));
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE);
  }

  #become(state) {
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }
}
