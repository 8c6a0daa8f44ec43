import { api } from "./api.js";
import { openBin } from "./bin.js";
import { askText, openDialog } from "./dialog.js";
import { openImport } from "./importing.js";
import { openMenu } from "./menu.js";
import { openShare } from "./share.js";
import { fill, gettext } from "./text.js";
import { toast, toastError } from "./toast.js";

/**
 * What can be done with a conversation as a whole. Events: "changed" (detail: id and fields), "removed" (detail: id), "restored"
 * (detail: its summary).
 */
export class Keeper extends EventTarget {
  constructor(sidebar) {
    super();
    this.sidebar = sidebar;
  }

  menu(row, button) {
    openMenu(button, [
      { icon: "edit", label: gettext("Rename"), action: () => this.rename(row) },
      row.pinned ? { icon: "unpin", label: gettext("Unpin"), action: () => this.#change(row, { pinned: false }) } : { icon: "pin", label: gettext("Pin"), action: () => this.#change(row, { pinned: true }) },
      { icon: "folder", label: gettext("Into a folder"), action: () => this.#move(row) },
      { icon: "share", label: gettext("Share"), action: () => this.share(row) },
      { icon: "download", label: gettext("Export as Markdown"), href: api.exported(row.id, "markdown"), download: true },
      { icon: "download", label: gettext("Export as JSON"), href: api.exported(row.id, "json"), download: true },
      { icon: "trash", label: gettext("Delete"), bad: true, action: () => this.remove(row) },
    ]);
  }

  async rename(row) {
    const title = await askText(gettext("Rename"), gettext("Title"), row.title);
    if (title && title !== row.title) await this.#change(row, { title });
  }

  async #move(row) {
    const folder = await askText(gettext("Into a folder"), gettext("Folder; empty: none"), row.folder ?? "", { suggestions: this.sidebar.folders, action: gettext("Move") });
    if (folder === null || folder === (row.folder ?? "")) return;
    await this.#change(row, { folder });
    await this.sidebar.refreshFolders().catch(toastError);
  }

  async share(row) {
    try {
      const { share } = await api.conversation(row.id);
      openShare(row.id, share, (changed) => this.#tell("changed", { id: row.id, share: changed, shared: Boolean(changed) }));
    } catch (error) {
      toastError(error);
    }
  }

  async remove(row) {
    try {
      await api.remove(row.id);
    } catch (error) {
      return toastError(error);
    }
    this.#tell("removed", row.id);
    toast(fill(gettext("“%(title)s” is deleted."), { title: row.title || gettext("Without a title") }), {
      action: gettext("Undo"),
      onaction: () => api.restore(row.id).then((summary) => this.#tell("restored", summary), toastError),
    });
  }

  openBin() {
    openBin((summary) => this.#tell("restored", summary));
  }

  /** Takes in conversations from a file: ours, or ChatGPT's export. */
  importFile() {
    openImport(() => this.sidebar.load());
  }

  async #change(row, fields) {
    try {
      const { title, folder, pinned } = await api.change(row.id, fields);
      this.#tell("changed", { id: row.id, title, folder, pinned });
    } catch (error) {
      toastError(error);
    }
  }

  #tell(what, detail) {
    this.dispatchEvent(new CustomEvent(what, { detail }));
  }
}
