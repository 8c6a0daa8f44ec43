const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15_000;
const PING_EVERY = 25_000;
const PONG_WITHIN = 10_000;
const SIGNED_OUT = 4401;

/**
 * The line to the server. It comes back by itself; what was running is asked for by who listens to "ready".
 * Events: "frame" (detail: what came), "ready" (detail: the ready frame), "state" (detail: connecting | open | lost | signed-out).
 */
export class Socket extends EventTarget {
  #socket = null;
  #pause = FIRST_PAUSE;
  #retry = 0;
  #ping = 0;
  #pong = 0;
  state = "connecting";

  constructor(url) {
    super();
    this.url = url;
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

  /** Reconnects now instead of after the pause. */
  hurry() {
    if (this.state === "lost") this.connect();
  }

  /** Sends, and says whether it could: what must not be lost is sent again at "ready". */
  send(frame) {
    if (this.state !== "open") return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  #take(frame) {
    clearTimeout(this.#pong);
    if (frame.type === "ready") {
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
