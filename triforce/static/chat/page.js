import { api } from "./api.js";
import { Attachments } from "./attachments.js";
import { boot } from "./boot.js";
import { copyText } from "./code.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { Drawer } from "./drawer.js";
import { el } from "./dom.js";
import { emptyState } from "./empty.js";
import { errorCard } from "./error_card.js";
import { Keeper } from "./keeper.js";
import { LineBar } from "./line_bar.js";
import { openMenu } from "./menu.js";
import { Models } from "./models.js";
import { openParameters } from "./parameters.js";
import { openPicker } from "./picker.js";
import { Queue } from "./queue.js";
import { Quota } from "./quota.js";
import { Quote } from "./quote.js";
import { Runs } from "./runs.js";
import { Shortcuts } from "./shortcuts.js";
import { Sidebar } from "./sidebar.js";
import { Socket } from "./socket.js";
import { kept } from "./storage.js";
import { fill, gettext } from "./text.js";
import { Thread } from "./thread.js";
import { toast, toastError } from "./toast.js";
import { Turn } from "./turn.js";
import { Voice } from "./voice.js";

const at = (id) => document.getElementById(id);

/** The chat page: holds its parts together. */
export class ChatPage {
  user = boot.user;
  bear = at("chat").dataset.bear;
  models = new Models();
  chosen = [];
  conversation = new Conversation();
  #asks = new WeakMap(); // turn -> how it was asked for, until it is known to be saved

  begin() {
    this.socket = new Socket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/chat/`);
    this.runs = new Runs(this.socket);
    this.quota = new Quota(at("quota"));
    this.line = new LineBar(at("line"), this.socket);
    this.sidebar = new Sidebar({ list: at("conversations"), search: at("search") });
    this.drawer = new Drawer({ drawer: at("sidebar"), buttons: document.querySelectorAll("[data-sidebar]"), shade: at("shade") });
    this.keeper = new Keeper(this.sidebar);
    this.thread = new Thread({ scroller: at("content"), list: at("turns"), page: this, onTop: () => this.#older(), onFollow: (following) => (at("to-end").hidden = following) });
    this.composer = new Composer(at("composer"));
    this.attachments = new Attachments(at("files"));
    this.queue = new Queue(at("queue"));
    this.voice = new Voice({ button: at("microphone"), onwords: (words) => this.composer.append(words) });
    this.quote = new Quote({ socket: this.socket, place: at("quote"), quota: this.quota, frame: () => this.#draftFrame() });
    this.shortcuts = new Shortcuts({
      fresh: () => this.fresh(),
      search: () => (this.drawer.show(), at("search").focus()),
      composer: () => this.composer.focus(),
      stop: () => (this.conversation.running.length ? this.stop() : false),
      again: () => this.conversation.leaf && !this.conversation.running.length && this.regenerate(this.conversation.leaf),
      copy: () => this.#copyLast(),
      sidebar: () => this.drawer.toggle(),
      model: () => this.#pickModels(),
    });
    this.#wire();
    this.models.load().catch(toastError);
    this.sidebar.load();
    this.socket.connect();
    this.#goTo(boot.conversation);
    this.composer.focus();
  }

  #wire() {
    const { socket, runs, sidebar, keeper, composer } = this;
    socket.addEventListener("ready", ({ detail }) => this.quota.ready(detail));
    runs.addEventListener("started", ({ detail }) => this.#started(detail));
    runs.addEventListener("done", ({ detail }) => this.#ended(detail));
    runs.addEventListener("failed", ({ detail }) => this.#ended(detail));
    runs.addEventListener("refused", ({ detail }) => this.#refused(detail));
    sidebar.addEventListener("open", ({ detail }) => this.open(detail));
    sidebar.addEventListener("menu", ({ detail }) => keeper.menu(detail.summary, detail.button));
    keeper.addEventListener("changed", ({ detail }) => this.#changed(detail));
    keeper.addEventListener("removed", ({ detail }) => (sidebar.remove(detail), detail === this.conversation.id && this.fresh()));
    composer.addEventListener("send", () => this.send());
    composer.addEventListener("change", () => (this.#shape(), this.quote.ask()));
    composer.addEventListener("files", ({ detail }) => this.attachments.add(detail));
    this.attachments.addEventListener("change", () => (this.#shape(), this.quote.ask()));
    this.models.addEventListener("change", () => (this.#showModels(), this.thread.rename()));
    addEventListener("popstate", () => this.#goTo(/^\/chat\/([\w-]+)/.exec(location.pathname)?.[1] ?? null));
    document.addEventListener("visibilitychange", () => document.hidden || this.#lookAgain());
    at("to-end").addEventListener("click", () => this.thread.toEnd());
    at("pick-files").addEventListener("click", () => at("file-field").click());
    at("file-field").addEventListener("change", (event) => {
      this.attachments.add([...event.target.files]);
      event.target.value = "";
    });
    composer.model.addEventListener("click", () => this.#pickModels());
    composer.button.addEventListener("click", (event) => {
      if (!composer.button.classList.contains("stops")) return;
      event.preventDefault();
      this.stop();
    });
    at("parameters").addEventListener("click", () => openParameters(this.conversation.settings, (settings) => this.#set(settings)));
    at("temporary").addEventListener("click", () => this.#toggleTemporary());
    at("title").addEventListener("click", () => this.conversation.id && keeper.rename(this.#summary()));
    at("share").addEventListener("click", () => keeper.share(this.#summary()));
    at("more").addEventListener("click", () => keeper.menu(this.#summary(), at("more")));
    for (const button of document.querySelectorAll("[data-new]")) {
      button.addEventListener("click", (event) => {
        if (event.metaKey || event.ctrlKey) return;
        event.preventDefault();
        this.fresh();
      });
    }
    const own = { import: () => keeper.importFile(), keyboard: () => this.shortcuts.open(), voice: () => this.voice.openNotice() };
    for (const [name, action] of Object.entries(own)) document.querySelector(`[data-do=${name}]`)?.addEventListener("click", () => (at("account").hidePopover(), action()));
  }

  // -- which conversation ---------------------------------------------------------------------------------------------

  /** Opens one of the conversations without loading the page anew. */
  open(id) {
    if (id === this.conversation.id) return this.drawer.leave();
    history.pushState(null, "", `/chat/${id}`);
    this.#goTo(id);
  }

  /** A new conversation. */
  fresh() {
    if (location.pathname !== "/chat") history.pushState(null, "", "/chat");
    this.#goTo(null);
    this.composer.focus();
  }

  async #goTo(id, { temporary = false } = {}) {
    this.drawer.leave();
    this.#forgive();
    this.queue.clear();
    const conversation = this.#show(new Conversation(id), temporary);
    if (!id || !this.chosen.length) this.#pick(kept.get("models") ?? [boot.default_model], false);
    if (!id) return;
    at("content").setAttribute("aria-busy", "true");
    try {
      await conversation.load();
      if (conversation !== this.conversation) return;
      for (const turn of conversation.running) this.runs.resume(turn);
      if (conversation.model && !conversation.running.length) this.#pick([conversation.model], false);
      this.#shape();
    } catch (error) {
      if (conversation === this.conversation) this.#lost(error);
    } finally {
      at("content").removeAttribute("aria-busy");
    }
  }

  #show(conversation, temporary) {
    this.conversation = conversation;
    conversation.temporary = temporary;
    conversation.addEventListener("path", () => conversation === this.conversation && this.#redraw());
    conversation.addEventListener("grown", ({ detail }) => conversation === this.conversation && this.thread.grown(conversation.path, detail));
    conversation.addEventListener("about", () => conversation === this.conversation && this.#head());
    this.sidebar.mark(conversation.id);
    this.composer.open(conversation.id, { keep: !temporary });
    this.thread.show([], { end: true });
    at("turns").classList.toggle("loading", Boolean(conversation.id));
    this.#redraw();
    this.#head();
    this.#shape();
    this.quote.ask();
    return conversation;
  }

  #lost(error) {
    at("turns").classList.remove("loading");
    at("notes").replaceChildren(errorCard({ detail: error.status === 404 ? gettext("This conversation is not here, or not yours.") : error.message }, { models: this.models, retry: error.status === 404 ? null : () => this.#goTo(this.conversation.id) }));
  }

  /** Somebody comes back to the tab: what happened elsewhere in the meantime is fetched. */
  async #lookAgain() {
    this.sidebar.load();
    const { conversation } = this;
    if (!conversation.id || conversation.running.length || conversation.temporary) return;
    const body = await api.conversation(conversation.id).catch(() => null); // the bar tells of a lost line
    if (!body || conversation !== this.conversation || conversation.running.length) return;
    if (body.turns.at(-1)?.id === conversation.leaf?.id && body.turns.at(-1)?.state === conversation.leaf?.state) return;
    conversation.take(body);
    for (const turn of conversation.running) this.runs.resume(turn);
  }

  async #older() {
    const { conversation } = this;
    if (conversation.before) await conversation.older().catch(toastError);
  }

  // -- asking ---------------------------------------------------------------------------------------------------------

  /** Sends what is in the composer, now or after the answer that is being written. */
  send() {
    const message = this.composer.text;
    if (!message || this.attachments.uploading) return;
    const entry = { message, attachments: this.attachments.take() };
    this.composer.clear();
    this.quote.clear();
    if (this.conversation.running.length) this.queue.add(entry);
    else this.ask(entry.message, entry);
    this.#shape();
  }

  /**
   * Asks for an answer, or for several side by side.
   * @param {string} message
   * @param {{parent?: string|null, attachments?: Object[], models?: string[], fields?: Object}} [how] `parent` where it is no follow-up
   */
  ask(message, { parent, attachments = [], models = this.chosen, fields = {} } = {}) {
    const { conversation } = this;
    this.#forgive();
    const above = parent === undefined ? (conversation.leaf?.id ?? null) : parent;
    const group = models.length > 1 ? crypto.randomUUID() : undefined;
    const frames = models.map((model) => ({ ...this.#frame(message, attachments, model, above), ...(group && { group }), ...fields }));
    const turns = frames.map((frame) => Turn.asked(frame, { parent: above, attachments }));
    const undo = conversation.add(turns);
    const [first, ...others] = turns.map((turn, index) => ({ turn, frame: frames[index] }));
    const asked = { conversation, undo, others, turns, message, attachments };
    for (const turn of turns) this.#asks.set(turn, asked);
    this.runs.start(first.turn, first.frame);
    this.#redraw(true);
    this.#shape();
    return asked;
  }

  #frame(message, attachments, model, parent) {
    const { conversation } = this;
    const { system_prompt: system, parameters } = conversation.settings;
    const frame = { type: "chat", id: crypto.randomUUID(), message, model, ...parameters, ...(system && { system_prompt: system }) };
    if (attachments.length) frame.attachments = attachments.map((file) => file.id);
    if (conversation.temporary) return { ...frame, temporary: true, messages: this.#spoken(parent) };
    if (conversation.id) Object.assign(frame, { conversation: conversation.id, parent });
    return frame;
  }

  /** A temporary chat so far, for the server does not keep it. */
  #spoken(parent) {
    const { path } = this.conversation;
    const end = path.findIndex((turn) => turn.id === parent) + 1;
    return path.slice(0, end).flatMap((turn) => [{ role: "user", content: turn.prompt }, ...(turn.answer ? [{ role: "assistant", content: turn.answer }] : [])]);
  }

  #draftFrame() {
    const { composer, attachments, conversation } = this;
    if (!composer.text && !attachments.size) return null;
    const { id, ...frame } = this.#frame(composer.text || " ", attachments.ready, this.chosen[0], conversation.leaf?.id ?? null);
    return frame;
  }

  #started({ turn, frame }) {
    const asked = this.#asks.get(turn);
    if (asked) this.#goOnAsking(asked, frame);
    if (frame.conversation) this.sidebar.put({ id: frame.conversation, ...(frame.title && { title: frame.title }), changed: new Date().toISOString(), running: true, model: turn.model });
  }

  /** The first of several is saved: now there is a conversation for the others. */
  #goOnAsking(asked, frame) {
    const { conversation } = asked;
    if (!conversation.id && !conversation.temporary && frame.conversation) {
      conversation.id = frame.conversation;
      conversation.describe({ title: frame.title ?? "" });
      if (conversation === this.conversation) {
        history.replaceState(null, "", `/chat/${conversation.id}`);
        this.composer.became(conversation.id);
        this.sidebar.current = conversation.id;
        this.#head();
      }
    }
    const others = asked.others.splice(0);
    for (const { turn, frame: other } of others) {
      this.runs.start(turn, conversation.temporary ? other : { ...other, conversation: conversation.id, parent: turn.parent });
    }
  }

  #ended({ turn, frame }) {
    this.quota.left(frame.tokens_remaining);
    const id = frame.conversation ?? (this.conversation.find(turn.id) && this.conversation.id);
    if (id) this.sidebar.put({ id, running: false });
    if (!this.conversation.find(turn.id)) return;
    if (turn.state === "done") this.#announce(fill(gettext("%(model)s has answered: %(words)s"), { model: this.models.name(turn.model), words: turn.answer.slice(0, 400) }));
    this.#shape();
    if (turn.state !== "failed" && !this.conversation.running.length) this.#next();
  }

  #next() {
    const entry = this.queue.next();
    if (entry) this.ask(entry.message, entry);
  }

  /** Nothing was saved: the words go back to where they were written. */
  #refused({ turn, frame }) {
    const asked = this.#asks.get(turn);
    const left = turn.columns.filter((other) => other !== turn && !asked.others.some((one) => one.turn === other));
    if (left.length && asked.conversation.id) {
      asked.conversation.drop(turn);
      toast(`${this.models.name(turn.requested_model)}: ${frame.detail}`, { kind: "bad" });
      this.#shape();
      return;
    }
    asked.undo();
    if (asked.conversation !== this.conversation) return;
    if (!asked.again) {
      this.composer.put(asked.message);
      this.attachments.put(asked.attachments);
    }
    const retry = (model) => {
      if (model) this.#pick([model]);
      if (asked.again) this.regenerate(asked.again, model);
      else this.send();
    };
    const refusal = errorCard(frame, { saying: frame.saying, models: this.models, retry: frame.code === "quota_exceeded" && !frame.models_available_now?.length ? null : retry });
    at("notes").replaceChildren(refusal);
    this.thread.toEnd();
    this.#shape();
  }

  #forgive() {
    at("notes").replaceChildren();
  }

  stop() {
    for (const turn of this.conversation.running) this.runs.stop(turn);
  }

  /** Another answer to the same question. */
  regenerate(turn, model) {
    const asked = this.ask(turn.prompt, { parent: turn.parent, attachments: turn.attachments, models: [model || turn.requested_model || this.chosen[0]] });
    asked.again = turn;
  }

  offerAgain(turn, button) {
    openMenu(button, [
      { icon: "again", label: gettext("Once more"), action: () => this.regenerate(turn) },
      { icon: "columns", label: gettext("With another model"), action: () => openPicker(this.models, { chosen: [turn.model], several: false, onpick: ([id]) => this.regenerate(turn, id) }) },
    ]);
  }

  /** Has an answer that was cut short taken up again. */
  continueAnswer(turn) {
    this.ask(gettext("Go on exactly where you stopped."), { parent: turn.id, models: [turn.requested_model || turn.model] });
  }

  /** Goes on with one of several answers: the conversation follows it. */
  settle(turn) {
    if (this.conversation.temporary) {
      turn.alternatives = [];
      this.conversation.path = this.conversation.path.map((one) => (one.columns.includes(turn) ? turn : one));
      this.#redraw();
    } else this.choose(turn.id, { settled: true });
    this.#pick([turn.model]);
    this.composer.focus();
  }

  /** Shows another version of a question. */
  async choose(id, { settled = false } = {}) {
    const { conversation } = this;
    if (conversation.temporary) return;
    await conversation.choose(id, settled).catch(toastError);
    for (const turn of conversation.running) this.runs.resume(turn);
    this.#shape();
  }

  #copyLast() {
    const last = this.conversation.path.findLast((turn) => turn.answer);
    if (!last) return false;
    copyText(last.answer, el("button", {}, el("span")));
    toast(gettext("The last answer is copied."), { kind: "good" });
    return true;
  }

  // -- models and parameters --------------------------------------------------------------------------------------------

  #pick(ids, keep = true) {
    this.chosen = ids.filter(Boolean).slice(0, boot.limits.compare);
    if (!this.chosen.length) this.chosen = [boot.default_model];
    if (keep) kept.set("models", this.chosen);
    this.#showModels();
    this.quote?.ask();
  }

  #pickModels() {
    openPicker(this.models, {
      chosen: this.chosen,
      onpick: (ids) => {
        this.#pick(ids);
        if (this.conversation.id && ids.length === 1) api.change(this.conversation.id, { model: ids[0] }).catch(toastError);
        this.composer.focus();
      },
    });
  }

  #showModels() {
    this.composer.showModels(this.chosen.map((id) => this.models.name(id)), this.models.get(this.chosen[0])?.status ?? "unknown");
  }

  #set(settings) {
    this.conversation.settings = settings;
    at("parameters").classList.toggle("set", Boolean(settings.system_prompt || Object.keys(settings.parameters).length));
    if (this.conversation.id) api.change(this.conversation.id, settings).catch(toastError);
    this.quote.ask();
  }

  #toggleTemporary() {
    const on = !this.conversation.temporary;
    if (location.pathname !== "/chat") history.pushState(null, "", "/chat");
    this.#goTo(null, { temporary: on });
    this.composer.focus();
  }

  // -- what is seen -----------------------------------------------------------------------------------------------------

  #redraw(end = false) {
    const { conversation } = this;
    const empty = !conversation.path.length && !conversation.id;
    at("turns").classList.toggle("loading", Boolean(conversation.id) && !conversation.path.length && !at("notes").childElementCount);
    at("welcome").replaceChildren(...(empty ? [emptyState({ bear: this.bear, saying: boot.saying, temporary: conversation.temporary, onstart: (words) => (this.composer.put(words), this.composer.focus()) })] : []));
    document.body.classList.toggle("fresh", empty);
    this.thread.show(conversation.path, { end });
  }

  #head() {
    const { conversation } = this;
    const title = conversation.temporary ? gettext("Temporary chat") : conversation.about.title || (conversation.id ? gettext("Without a title") : gettext("New chat"));
    at("title").querySelector("span").textContent = title;
    at("title").disabled = !conversation.id;
    document.title = `${title} · TriForce`;
    at("share").hidden = at("more").hidden = !conversation.id;
    at("share").classList.toggle("set", Boolean(conversation.about.share));
    at("temporary").setAttribute("aria-pressed", String(conversation.temporary));
    at("parameters").classList.toggle("set", Boolean(conversation.settings.system_prompt || Object.keys(conversation.settings.parameters).length));
    document.body.classList.toggle("temporary", conversation.temporary);
  }

  #shape() {
    this.composer.shape({ running: this.conversation.running.length > 0, empty: !this.composer.text });
  }

  #summary() {
    const { id, about } = this.conversation;
    return { id, ...about };
  }

  #changed(fields) {
    const { share, ...row } = fields;
    this.sidebar.put(row);
    if (fields.id === this.conversation.id) this.conversation.describe(fields);
  }

  #announce(words) {
    at("announcer").textContent = words;
  }
}
