import { openDialog } from "./dialog.js";
import { el } from "./dom.js";
import { kept } from "./storage.js";
import { gettext } from "./text.js";
import { toast } from "./toast.js";

const Recognition = window.SpeechRecognition ?? window.webkitSpeechRecognition;

/** Dictation by the browser: off until somebody has read who hears it. */
export class Voice {
  #listening = null;

  /** @param {{button: HTMLElement, onwords: (words: string) => void}} parts */
  constructor({ button, onwords }) {
    Object.assign(this, { button, onwords });
    button.addEventListener("click", () => (this.#listening ? this.#listening.stop() : this.#listen()));
    this.#show();
  }

  get on() {
    return kept.get("voice", false);
  }

  openNotice() {
    const words = Recognition
      ? gettext("Your browser can write what you say. It does so by sending what it hears to its maker: this is the one thing in TriForce that leaves this server. We neither hear nor keep it.")
      : gettext("This browser cannot write what you say.");
    const box = Recognition && el("div", { class: "field check" }, el("input", { type: "checkbox", id: "voice-on", checked: this.on, onchange: (event) => this.#set(event.target.checked) }), el("label", { htmlFor: "voice-on" }, gettext("Show the microphone")));
    openDialog(gettext("Voice input"), [el("p", {}, words), box || ""], { class: "small" });
  }

  #set(on) {
    kept.set("voice", on);
    this.#show();
  }

  #show() {
    this.button.hidden = !(Recognition && this.on);
  }

  #listen() {
    const recognition = (this.#listening = new Recognition());
    recognition.lang = document.documentElement.lang;
    recognition.continuous = true;
    recognition.addEventListener("result", ({ results, resultIndex }) => {
      for (const result of [...results].slice(resultIndex)) if (result.isFinal) this.onwords(result[0].transcript.trim());
    });
    recognition.addEventListener("error", ({ error }) => error !== "aborted" && toast(gettext("I could not hear you: the browser did not let me."), { kind: "bad" }));
    recognition.addEventListener("end", () => {
      this.#listening = null;
      this.button.setAttribute("aria-pressed", "false");
    });
    recognition.start();
    this.button.setAttribute("aria-pressed", "true");
  }
}
