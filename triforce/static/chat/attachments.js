import { api } from "./api.js";
import { boot } from "./boot.js";
import { el, icon, iconButton } from "./dom.js";
import { bytes, fill, gettext, tokens } from "./text.js";
import { toast } from "./toast.js";

/** The files that go along with the next message. Event: "change". */
export class Attachments extends EventTarget {
  constructor(place) {
    super();
    this.place = place;
  }

  get uploading() {
    return this.desk.files.some((file) => !file.attachment);
  }

  /** Those that lie on a desk. */
  open(desk) {
    this.desk = desk;
    this.#changed();
  }

  async add(files) {
    for (const file of files) {
      if (this.desk.files.length >= boot.limits.attachments) {
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
    const { desk } = this; // it stays there, wherever somebody goes meanwhile
    const entry = { name: file.name || gettext("Pasted picture"), size: file.size };
    desk.files.push(entry);
    this.#changed();
    const form = new FormData();
    form.append("file", file, entry.name);
    if (!desk.name) form.append("temporary", "true");
    try {
      entry.attachment = await api.attach(form);
      if (!desk.files.includes(entry)) api.detach(entry.attachment.id).catch(() => {}); // taken away meanwhile; the server tidies up, too
    } catch (error) {
      desk.files = desk.files.filter((other) => other !== entry);
      toast(`${entry.name}: ${error.message}`, { kind: "bad" });
    }
    desk.save();
    this.#changed();
  }

  #remove(entry) {
    const { desk } = this;
    desk.files = desk.files.filter((other) => other !== entry);
    if (entry.attachment) api.detach(entry.attachment.id).catch(() => {}); // as above
    desk.save();
    this.#changed();
  }

  #changed() {
    const { files } = this.desk;
    this.place.hidden = !files.length;
    this.place.replaceChildren(...files.map((entry) => this.#chip(entry)));
    this.dispatchEvent(new Event("change"));
  }

  #chip(entry) {
    const { attachment } = entry;
    const words = attachment ? [bytes(entry.size), attachment.tokens ? tokens(attachment.tokens) : ""].filter(Boolean).join(" · ") : gettext("uploading …");
    const picture = attachment?.kind === "image" && attachment.url ? el("img", { src: attachment.url, alt: "", width: 32, height: 32 }) : icon(attachment?.kind === "image" ? "picture" : "file");
    return el("li", { class: "chip" }, picture, el("span", { class: "chip-name" }, entry.name), el("span", { class: "soft small" }, words), iconButton("close", fill(gettext("Remove %(name)s"), { name: entry.name }), () => this.#remove(entry)));
  }
}
