import { api } from "./api.js";
import { el, icon, iconButton } from "./dom.js";
import { dateGroup } from "./groups.js";
import { fill, gettext } from "./text.js";
import { toastError } from "./toast.js";

const PAUSE = 250;
const PAGE = 40;

/** The conversations. Events: "open" (detail: {id, words it was found by}), "menu" (detail: {summary, button}). */
export class Sidebar extends EventTarget {
  #rows = new Map(); // id -> summary
  #next = null;
  #words = "";
  #folders = [];
  #open = new Map(); // folder -> its summaries
  #asked = 0;
  #timer = 0;
  #meanwhile = new Map(); // what was put while a list was on its way, which does not know of it
  #removed = new Set(); // what a list on its way, or a late answer, must not bring back
  #observer = null;
  current = null;

  constructor({ list, search }) {
    super();
    Object.assign(this, { list, search });
    search.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#find(search.value.trim()), PAUSE);
    });
    this.end = el("div", { class: "list-end" });
    this.#observer = new IntersectionObserver((entries) => entries.at(-1).isIntersecting && this.#more(), { root: list, rootMargin: "300px" });
    list.addEventListener("click", (event) => {
      const link = event.target.closest("a[data-id]");
      if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      this.#tell("open", { id: link.dataset.id, words: this.#words });
    });
    list.addEventListener("keydown", (event) => this.#move(event));
  }

  get folders() {
    return this.#folders.map((folder) => folder.name);
  }

  /** Everything anew. */
  async load() {
    const asked = ++this.#asked;
    this.#meanwhile.clear();
    try {
      const [page, { folders }] = await Promise.all([this.#page(null), api.folders()]);
      if (asked !== this.#asked) return;
      this.#rows = new Map([...(this.#words ? [] : this.#meanwhile), ...this.#there(page.results).filter((row) => !this.#meanwhile.has(row.id)).map((row) => [row.id, row])]);
      this.#next = page.next;
      this.#folders = folders;
      await Promise.all([...this.#open.keys()].map((name) => this.#loadFolder(name)));
      this.#draw();
    } catch (error) {
      this.list.replaceChildren(el("div", { class: "soft small list-note" }, el("p", {}, error.message), el("button", { type: "button", class: "button quiet small", onclick: () => this.load() }, gettext("Try again"))));
    }
  }

  /** One conversation is new or different; it moves up where it has just changed. */
  put(summary) {
    if (this.#removed.has(summary.id)) return;
    const old = this.get(summary.id);
    const row = { folder: "", pinned: false, running: false, changed: new Date().toISOString(), ...old, ...summary };
    this.#rows.delete(row.id);
    this.#meanwhile.delete(row.id);
    this.#rows = new Map([[row.id, row], ...this.#rows]);
    this.#meanwhile = new Map([[row.id, row], ...this.#meanwhile]);
    for (const [name, rows] of this.#open) {
      const others = rows.filter((other) => other.id !== row.id);
      this.#open.set(name, row.folder === name ? [row, ...others] : others);
    }
    this.#draw();
  }

  /** Something about one conversation is different, if it is in the list. */
  update(id, fields) {
    const row = this.get(id);
    if (!row) return;
    for (const rows of [[...this.#rows.values()], [...this.#meanwhile.values()], ...this.#open.values()]) {
      for (const one of rows) if (one.id === id) Object.assign(one, fields);
    }
    this.#draw();
  }

  /** It is in the bin. The focus goes on to the row that comes into its place. */
  remove(id) {
    const links = [...this.list.querySelectorAll("a[data-id]")];
    const at = links.findIndex((link) => link.dataset.id === id);
    const next = (links[at + 1] ?? links[at - 1])?.dataset.id;
    const focused = document.activeElement === document.body || links[at]?.closest("li").contains(document.activeElement);
    this.#removed.add(id);
    this.#rows.delete(id);
    this.#meanwhile.delete(id);
    for (const [name, rows] of this.#open) this.#open.set(name, this.#there(rows));
    this.#draw();
    if (at >= 0 && focused) (this.list.querySelector(`a[data-id="${next}"]`) ?? this.search).focus();
  }

  /** It is out of the bin again. */
  restore(summary) {
    this.#removed.delete(summary.id);
    this.put(summary);
  }

  get(id) {
    return this.#rows.get(id) ?? [...this.#open.values()].flat().find((row) => row.id === id);
  }

  mark(id) {
    this.current = id;
    for (const link of this.list.querySelectorAll("a[data-id]")) {
      if (link.dataset.id === id) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }

  async refreshFolders() {
    this.#folders = (await api.folders()).folders;
    this.#draw();
  }

  #there(rows) {
    return rows.filter((row) => !this.#removed.has(row.id));
  }

  #page(cursor) {
    return api.conversations({ limit: PAGE, ...(this.#words && { q: this.#words }), ...(cursor && { cursor }) });
  }

  async #find(words) {
    if (words === this.#words) return;
    this.#words = words;
    await this.load();
  }

  async #more() {
    if (!this.#next) return;
    const cursor = this.#next;
    this.#next = null;
    const asked = this.#asked;
    const page = await this.#page(cursor).catch(toastError);
    if (asked !== this.#asked) return;
    if (!page) return void (this.#next = cursor);
    for (const row of this.#there(page.results)) this.#rows.set(row.id, row);
    this.#next = page.next;
    this.#draw();
  }

  async #loadFolder(name) {
    const { results } = await api.conversations({ folder: name, limit: 100 });
    this.#open.set(name, this.#there(results));
  }

  #draw() {
    const focused = document.activeElement?.dataset?.id;
    const top = this.list.scrollTop;
    const rows = [...this.#rows.values()];
    const parts = this.#words ? this.#found(rows) : this.#grouped(rows);
    this.list.replaceChildren(...parts, this.end);
    this.list.scrollTop = top;
    this.mark(this.current);
    if (focused) this.list.querySelector(`a[data-id="${focused}"]`)?.focus();
    this.#observer.unobserve(this.end); // it tells of changes alone: where the end is still in sight the next page is wanted, too
    this.#observer.observe(this.end);
  }

  #found(rows) {
    if (!rows.length) return [el("p", { class: "soft small list-note" }, gettext("Not a trace of it."))];
    return [this.#group(gettext("Found"), rows)];
  }

  #grouped(rows) {
    const pinned = rows.filter((row) => row.pinned);
    const groups = new Map();
    for (const row of rows.filter((one) => !one.pinned && !one.folder)) {
      const name = dateGroup(row.changed);
      groups.set(name, [...(groups.get(name) ?? []), row]);
    }
    const parts = [pinned.length ? this.#group(gettext("Pinned"), pinned) : null, ...this.#folders.map((folder) => this.#folder(folder)), ...[...groups].map(([name, found]) => this.#group(name, found))];
    if (!rows.length && !this.#folders.length) parts.push(el("p", { class: "soft small list-note" }, gettext("What you talk about will stand here.")));
    return parts.filter(Boolean);
  }

  #group(name, rows) {
    return el("section", { class: "list-group" }, el("h2", { class: "group-name" }, name), el("ul", { class: "plain" }, ...rows.map((row) => this.#row(row))));
  }

  #folder({ name, count }) {
    const rows = this.#open.get(name);
    const list = el("ul", { class: "plain" }, ...(rows ?? []).map((row) => this.#row(row)));
    const details = el("details", { class: "list-folder", open: rows !== undefined }, el("summary", {}, icon("folder"), el("span", { class: "row-title" }, name), el("span", { class: "soft small number" }, String(rows?.length ?? count))), list);
    details.addEventListener("toggle", async () => {
      if (!details.open) this.#open.delete(name);
      else if (!this.#open.has(name)) {
        await this.#loadFolder(name).catch(toastError);
        this.#draw();
      }
    });
    return details;
  }

  #row(row) {
    const title = row.title || gettext("Without a title");
    const button = iconButton("more", fill(gettext("More about “%(title)s”"), { title }), () => this.#tell("menu", { summary: row, button }), { class: "row-more", "aria-haspopup": "menu", "aria-expanded": "false" });
    return el(
      "li",
      { class: "list-row" },
      el(
        "a",
        { href: `/chat/${row.id}`, data: { id: row.id }, title },
        row.running && el("span", { class: "dot running" }, el("span", { class: "visually-hidden" }, gettext("is being answered"))),
        el("span", { class: "row-title" }, title, row.excerpt && el("span", { class: "row-excerpt" }, row.excerpt)),
        row.shared && icon("link"),
      ),
      button,
    );
  }

  #move(event) {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const links = [...this.list.querySelectorAll("a[data-id], summary")].filter((link) => link.checkVisibility());
    const at = links.indexOf(document.activeElement);
    if (at < 0) return;
    event.preventDefault();
    links[at + (event.key === "ArrowDown" ? 1 : -1)]?.focus();
  }

  #tell(what, detail) {
    this.dispatchEvent(new CustomEvent(what, { detail }));
  }
}
