import { api } from "./api.js";
import { boot } from "./boot.js";
import { el, icon, iconButton } from "./dom.js";
import { bytes, fill, gettext, tokens } from "./text.js";
import { toast } from "./toast.js";

/** The files that go along with the next message. Event: "change". */
export class Attachments extends EventTarget {
  #files = []; // {name, size, uploading, attachment}

  constructor(place) {
    super();
    this.place = place;
  }

  get ready() {
    return this.#files.filter((file) => file.attachment).map((file) => file.attachment);
  }

  get uploading() {
    return this.#files.some((file) => !file.attachment);
  }

  get size() {
    return this.#files.length;
  }

  async add(files) {
    for (const file of files) {
      if (this.#files.length >= boot.limits.attachments) {
        toast(fill(gettext("At most %(count)s files go along with a message."), { count: boot.limits.attachments }), { kind: "bad" });
        return;
      }
      if (file.size > boot.limits.attachment_bytes) {
        toast(fill(gettext("%(name)s is too large: at most %(size)s."), { name: file.name, size: bytes(boot.limits.attachment_bytes) }), { kind: "bad" });
        continue;
      }
      this.#upload(file);
    }
  }

  async #upload(file) {
    const entry = { name: file.name || gettext("Pasted picture"), size: file.size };
    this.#files.push(entry);
    this.#changed();
    const form = new FormData();
    form.append("file", file, entry.name);
    try {
      entry.attachment = await api.attach(form);
      if (!this.#files.includes(entry)) api.detach(entry.attachment.id).catch(() => {}); // taken away meanwhile; the server tidies up, too
    } catch (error) {
      this.#files = this.#files.filter((other) => other !== entry);
      toast(`${entry.name}: ${error.message}`, { kind: "bad" });
    }
    this.#changed();
  }

  /** Takes all of them away to be sent. */
  take() {
    const taken = this.ready;
    this.#files = [];
    this.#changed();
    return taken;
  }

  /** Puts back what was not sent after all. */
  put(attachments) {
    this.#files.push(...attachments.map((attachment) => ({ ...attachment, attachment })));
    this.#changed();
  }

  #remove(entry) {
    this.#files = this.#files.filter((other) => other !== entry);
    if (entry.attachment) api.detach(entry.attachment.id).catch(() => {}); // as above
    this.#changed();
  }

  #changed() {
    this.place.hidden = !this.#files.length;
    this.place.replaceChildren(...this.#files.map((entry) => this.#chip(entry)));
    this.dispatchEvent(new Event("change"));
  }

  #chip(entry) {
    const { attachment } = entry;
    const words = attachment ? [bytes(entry.size), attachment.tokens ? tokens(attachment.tokens) : ""].filter(Boolean).join(" · ") : gettext("uploading …");
    const picture = attachment?.kind === "image" && attachment.url ? el("img", { src: attachment.url, alt: "", width: 32, height: 32 }) : icon(attachment?.kind === "image" ? "picture" : "file");
    return el("li", { class: "chip" }, picture, el("span", { class: "chip-name" }, entry.name), el("span", { class: "soft small" }, words), iconButton("close", fill(gettext("Remove %(name)s"), { name: entry.name }), () => this.#remove(entry)));
  }
}
