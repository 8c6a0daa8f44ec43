import { kept } from "./storage.js";

/**
 * Questions that were sent, until the server says that it has them: a page that is loaded anew sends them again. The same id asked
 * twice is asked once. Each is {conversation, fresh, frames, parent, attachments, again}; its id is that of its first frame.
 */
export const outbox = {
  all: () => kept.get("outbox", []),

  of: (conversation) => outbox.all().filter((entry) => entry.conversation === conversation),

  add(entry) {
    outbox.remove(entry.frames[0].id);
    kept.set("outbox", [...outbox.all(), entry]);
  },

  remove(id) {
    const left = outbox.all().filter((entry) => entry.frames[0].id !== id);
    kept.set("outbox", left.length ? left : null);
  },
};
