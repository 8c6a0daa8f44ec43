import { kept } from "./storage.js";

const desks = new Map();

/** The desk of a conversation, by its id; "new" = where the next one begins. */
export function deskOf(name) {
  if (!desks.has(name)) desks.set(name, new Desk(name));
  return desks.get(name);
}

/**
 * What somebody has written in a conversation and not sent yet: the words, their files, and the messages that wait for an answer.
 * Kept in this browser; without a name (a temporary chat) nowhere.
 */
export class Desk {
  words = "";
  files = []; // {name, size, attachment}; without an attachment while it is uploaded
  waiting = []; // {message, attachments}

  constructor(name = null) {
    this.name = name;
    const { words = "", files = [], waiting = [] } = (name && kept.get(`desk:${name}`)) || {};
    Object.assign(this, { words, waiting, files: files.map(asFile) });
  }

  get attachments() {
    return this.files.flatMap((file) => file.attachment ?? []);
  }

  save() {
    if (!this.name) return;
    const { words, waiting, attachments: files } = this;
    kept.set(`desk:${this.name}`, words.trim() || files.length || waiting.length ? { words, files, waiting } : null);
  }

  /** The draft as a message, which is a draft no longer. */
  take() {
    const entry = { message: this.words.trim(), attachments: this.attachments };
    Object.assign(this, { words: "", files: [] });
    this.save();
    return entry;
  }

  /** A message becomes a draft again, in front of what was written since. */
  put({ message, attachments }) {
    this.words = joined(message, this.words);
    this.files = [...attachments.map(asFile), ...this.files];
    this.save();
  }

  /** Everything that lies on another one. */
  clearOff(other) {
    this.words = joined(other.words, this.words);
    this.files = [...other.files, ...this.files];
    this.waiting = [...other.waiting, ...this.waiting];
    other.empty();
    this.save();
  }

  empty() {
    Object.assign(this, { words: "", files: [], waiting: [] });
    this.save();
  }
}

const asFile = (attachment) => ({ name: attachment.name, size: attachment.size, attachment });
const joined = (...parts) => parts.filter((part) => part.trim()).join("\n\n");
