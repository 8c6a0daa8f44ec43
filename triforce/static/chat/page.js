import { api } from "./api.js";
import { Attachments } from "./attachments.js";
import { boot, MOST_BESIDE } from "./boot.js";
import { copyText } from "./code.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { Desk, deskOf } from "./desk.js";
import { Drawer } from "./drawer.js";
import { el } from "./dom.js";
import { emptyState } from "./empty.js";
import { errorCard } from "./error_card.js";
import { holds, unmarkWords } from "./found.js";
import { keepWaysBack } from "./here.js";
import { Keeper } from "./keeper.js";
import { LineBar } from "./line_bar.js";
import { openMenu } from "./menu.js";
import { Models } from "./models.js";
import { outbox } from "./outbox.js";
import { openParameters } from "./parameters.js";
import { openPicker } from "./picker.js";
import { Queue } from "./queue.js";
import { Quota } from "./quota.js";
import { Quote } from "./quote.js";
import { Runs } from "./runs.js";
import { Shortcuts } from "./shortcuts.js";
import { Sidebar } from "./sidebar.js";
import { bytesOf, Socket } from "./socket.js";
import { kept } from "./storage.js";
import { fill, gettext } from "./text.js";
import { Thread } from "./thread.js";
import { offered, takeBackOffer, toast, toastError } from "./toast.js";
import { Turn } from "./turn.js";
import { Voice } from "./voice.js";

const MOST_MESSAGES = 999; // of a temporary chat that go along with a question
const MOST_LOOKED_THROUGH = 25; // pages of older turns, for what a search found

const at = (id) => document.getElementById(id);

/** The chat page: holds its parts together. */
export class ChatPage {
  user = boot.user;
  bear = at("chat").dataset.bear;
  models = new Models();
  chosen = [];
  conversation = new Conversation();
  #asks = new WeakMap(); // turn -> how it was asked for, until it is known to be saved
  #looked = 0;
  #sending = false;

  begin() {
    this.socket = new Socket({ url: `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/chat/`, user: boot.user });
    this.runs = new Runs(this.socket);
    this.quota = new Quota(at("quota"));
    this.line = new LineBar(at("line"), this.socket);
    this.sidebar = new Sidebar({ list: at("conversations"), search: at("search") });
    this.drawer = new Drawer({ drawer: at("sidebar"), room: at("room"), buttons: document.querySelectorAll("[data-sidebar]"), shade: at("shade") });
    this.keeper = new Keeper(this.sidebar);
    this.thread = new Thread({ scroller: at("content"), list: at("turns"), page: this, onTop: () => this.#older(), onFollow: (following) => (at("to-end").hidden = following) });
    this.composer = new Composer(at("composer"));
    this.attachments = new Attachments(at("files"));
    this.queue = new Queue(at("queue"));
    this.voice = new Voice({ button: at("microphone"), onwords: (words) => this.composer.append(words) });
    this.quote = new Quote({ socket: this.socket, place: at("quote"), quota: this.quota, frames: () => this.#draftFrames() });
    this.shortcuts = new Shortcuts({
      fresh: () => this.fresh(),
      search: () => (this.drawer.show(), at("search").focus()),
      composer: () => this.composer.focus(),
      stop: () => (this.conversation.running.length ? this.stop() : false),
      again: () => this.conversation.leaf && !this.conversation.running.length && this.regenerate(this.conversation.leaf),
      copy: () => this.#copyLast(),
      sidebar: () => this.drawer.toggle(),
      model: () => this.pickModels(),
      undo: () => (offered() ? offered().click() : false),
    });
    this.#wire();
    this.models.load().catch(toastError);
    this.sidebar.load();
    this.socket.connect();
    const unsent = boot.conversation ? null : outbox.all().findLast((entry) => entry.fresh);
    this.#goTo(boot.conversation, { key: unsent?.conversation });
    this.#sendKept();
    this.composer.focus();
  }

  #wire() {
    const { socket, runs, sidebar, keeper, composer } = this;
    socket.addEventListener("ready", ({ detail }) => (this.quota.ready(detail), this.#lookAgain()));
    runs.addEventListener("started", ({ detail }) => this.#started(detail));
    runs.addEventListener("done", ({ detail }) => this.#ended(detail));
    runs.addEventListener("doubted", () => this.#shape());
    runs.addEventListener("failed", ({ detail }) => this.#ended(detail));
    runs.addEventListener("refused", ({ detail }) => this.#refused(detail));
    sidebar.addEventListener("open", ({ detail }) => this.open(detail.id, detail.words));
    sidebar.addEventListener("menu", ({ detail }) => keeper.menu(detail.summary, detail.button));
    keeper.addEventListener("changed", ({ detail }) => this.#changed(detail));
    keeper.addEventListener("removed", ({ detail }) => this.#removed(detail));
    keeper.addEventListener("restored", ({ detail }) => (takeBackOffer(), sidebar.restore(detail), sidebar.refreshFolders().catch(toastError)));
    this.queue.addEventListener("send", ({ detail }) => this.#sendNow(detail));
    this.queue.addEventListener("back", ({ detail }) => (this.queue.remove(detail), this.#putBack(this.desk, detail), composer.focus()));
    composer.addEventListener("send", () => this.send());
    composer.addEventListener("change", () => (this.#shape(), this.quote.ask()));
    composer.addEventListener("files", ({ detail }) => this.attachments.add(detail));
    this.attachments.addEventListener("change", () => (this.#shape(), this.quote.ask()));
    this.models.addEventListener("change", () => (this.#pick(this.chosen, false), this.thread.rename()));
    addEventListener("popstate", () => this.#goTo(/^\/chat\/([\w-]+)/.exec(location.pathname)?.[1] ?? null));
    document.addEventListener("visibilitychange", () => document.hidden || this.#cameBack());
    addEventListener("focus", () => this.#cameBack());
    addEventListener("pagehide", (event) => event.persisted || this.#forgetFiles(this.conversation));
    keepWaysBack();
    at("to-end").addEventListener("click", () => this.thread.toEnd());
    new ResizeObserver(([{ target }]) => document.body.style.setProperty("--writing-height", `${target.offsetHeight}px`)).observe(composer.form.parentElement);
    at("pick-files").addEventListener("click", () => at("file-field").click());
    at("file-field").addEventListener("change", (event) => {
      this.attachments.add([...event.target.files]);
      event.target.value = "";
    });
    composer.model.addEventListener("click", () => this.pickModels());
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
    const own = { import: () => keeper.importFile(), bin: () => keeper.openBin(), keyboard: () => this.shortcuts.open(), voice: () => this.voice.openNotice() };
    for (const [name, action] of Object.entries(own)) document.querySelector(`[data-do=${name}]`)?.addEventListener("click", () => (at("account").hidePopover(), action()));
  }

  // -- which conversation ---------------------------------------------------------------------------------------------

  /** What is written here and not sent. */
  get desk() {
    return this.conversation.desk;
  }

  /** Opens one of the conversations without loading the page anew; `words`: what it was found by. */
  open(id, words = "") {
    if (id === this.conversation.id) {
      this.drawer.leave();
      return this.#find(words);
    }
    history.pushState(null, "", `/chat/${id}`);
    return this.#goTo(id, { words });
  }

  /** A new conversation. */
  fresh() {
    if (location.pathname !== "/chat") history.pushState(null, "", "/chat");
    this.#goTo(null);
    this.composer.focus();
  }

  async #goTo(id, { temporary = false, key, words = "" } = {}) {
    this.drawer.leave();
    this.#forgive();
    this.#forgetFiles(this.conversation);
    const conversation = this.#show(new Conversation({ id, key, temporary }));
    if (!id || !this.chosen.length) this.#pick(kept.get("models") ?? [boot.default_model], false);
    if (!id) return this.#sendAgain(conversation);
    at("content").setAttribute("aria-busy", "true");
    try {
      await conversation.load();
      if (conversation !== this.conversation) return;
      for (const turn of conversation.running) this.runs.resume(turn);
      if (conversation.model && !conversation.running.length) this.#pick([conversation.model], false);
      this.#sendAgain(conversation);
      this.#shape();
      await this.#find(words);
    } catch (error) {
      if (conversation === this.conversation) this.#lost(error);
    } finally {
      at("content").removeAttribute("aria-busy");
    }
  }

  #show(conversation) {
    this.conversation = conversation;
    conversation.addEventListener("path", () => conversation === this.conversation && this.#redraw());
    conversation.addEventListener("grown", ({ detail }) => conversation === this.conversation && this.thread.grown(conversation.path, detail));
    conversation.addEventListener("about", () => conversation === this.conversation && this.#head());
    this.sidebar.mark(conversation.id);
    const isUnsent = outbox.of(conversation.key).length > 0;
    this.#sit(conversation, conversation.id ?? (isUnsent ? conversation.key : "new"));
    unmarkWords();
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

  /** A conversation writes on that desk from now on. */
  #sit(conversation, name) {
    const before = conversation.desk;
    conversation.desk = conversation.temporary ? (before ?? new Desk()) : deskOf(name);
    if (before && before !== conversation.desk) conversation.desk.clearOff(before);
    if (conversation === this.conversation) this.#spread();
  }

  /** Shows what lies on the desk. */
  #spread() {
    this.attachments.open(this.desk);
    this.queue.open(this.desk);
    this.composer.open(this.desk);
  }

  #putBack(desk, entry) {
    desk.put(entry);
    if (desk === this.desk) this.#spread();
  }

  /** To the newest turn that holds what was searched for. */
  async #find(words) {
    if (!words) return;
    const { conversation } = this;
    let turn = conversation.path.findLast((one) => holds(one, words));
    for (let pages = 0; !turn && conversation.before && pages < MOST_LOOKED_THROUGH; pages++) {
      await conversation.older();
      turn = conversation.path.findLast((one) => holds(one, words));
    }
    if (turn && conversation === this.conversation) this.thread.reveal(turn, words);
  }

  #removed(id) {
    this.sidebar.remove(id);
    deskOf(id).empty();
    if (id === this.conversation.id) this.fresh();
  }

  /** The files of a temporary chat go with it. */
  #forgetFiles(conversation) {
    if (!conversation.temporary) return;
    const files = [...conversation.files, ...(conversation.desk?.attachments ?? []).map((file) => file.id)];
    for (const id of files) api.detach(id, { keepalive: true }).catch(() => {}); // the server tidies up, too
  }

  /** Somebody comes back to the page; browsers may say so twice. */
  #cameBack() {
    if (performance.now() - this.#looked < 1000 || this.socket.state === "signed-out") return;
    this.#looked = performance.now();
    this.sidebar.load();
    this.#lookAgain();
  }

  /** Fetches what happened to the conversation elsewhere in the meantime. */
  async #lookAgain() {
    const { conversation } = this;
    if (!conversation.known || !conversation.id || conversation.running.length || conversation.temporary) return;
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
  async send() {
    const { conversation } = this;
    if (this.#sending || !this.composer.text || this.attachments.uploading) return;
    this.#busy(true);
    const wentOn = await this.#wentOnElsewhere(conversation).finally(() => this.#busy(false));
    if (wentOn || conversation !== this.conversation || !this.composer.text) return; // the words are still there
    const entry = this.desk.take();
    this.#spread();
    this.quote.clear();
    if (conversation.running.length) this.queue.add(entry);
    else if (!this.ask(entry.message, entry)) this.#putBack(this.desk, entry);
    this.#shape();
  }

  #busy(busy) {
    this.#sending = busy;
    this.composer.form.setAttribute("aria-busy", String(busy));
  }

  #sendNow(entry) {
    if (this.conversation.running.length) return;
    this.queue.remove(entry);
    if (!this.ask(entry.message, entry)) this.#putBack(this.desk, entry);
  }

  /** Another device may have gone on with the conversation; who does not see that would start a branch. Without a line nobody knows. */
  async #wentOnElsewhere(conversation) {
    if (!conversation.id || conversation.temporary || conversation.running.length || this.socket.state !== "open") return false;
    const body = await api.end(conversation.id).catch(() => null);
    const leaf = body?.turns.at(-1);
    if (!leaf || conversation.knows(leaf.id) || conversation !== this.conversation) return false;
    await this.#lookAgain();
    this.thread.toEnd();
    toast(gettext("This chat went on elsewhere. Have a look, then send again."));
    return true;
  }

  /**
   * Asks for an answer, or for several side by side.
   * @param {string} message
   * @param {{parent?: string|null, attachments?: Object[], models?: string[], again?: string}} [how] `parent` where it is no follow-up,
   *   `again`: the turn that is asked once more
   * @returns {boolean} false where it is too large to be sent
   */
  ask(message, { parent, attachments = [], models = this.chosen, again } = {}) {
    const { conversation } = this;
    this.#forgive();
    const above = parent === undefined ? (conversation.leaf?.id ?? null) : parent;
    const group = models.length > 1 ? crypto.randomUUID() : undefined;
    const frames = models.map((model) => ({ ...this.#frame(message, attachments, model, above), ...(group && { group }) }));
    if (frames.some((frame) => this.socket.room(frame) < 0)) {
      this.#note({ detail: gettext("This is too long for a message. Attach it as a file.") });
      return false;
    }
    if (!conversation.id) this.#sit(conversation, conversation.key);
    this.#begin(conversation, { conversation: conversation.key, fresh: !conversation.id, frames, parent: above, attachments, again });
    this.#redraw(true);
    this.#shape();
    return true;
  }

  #begin(conversation, entry) {
    const { frames, parent, attachments } = entry;
    const turns = frames.map((frame) => Turn.asked(frame, { parent, attachments }));
    const undo = conversation.add(turns);
    const [first, ...others] = turns.map((turn, index) => ({ turn, frame: frames[index] }));
    const asked = { conversation, undo, others, entry };
    for (const turn of turns) this.#asks.set(turn, asked);
    if (!conversation.temporary) outbox.add(entry);
    this.runs.start(first.turn, first.frame);
  }

  /** What an earlier visit sent to a conversation that is shown now, and the server did not confirm. */
  #sendAgain(conversation) {
    for (const entry of conversation.temporary ? [] : outbox.of(conversation.key)) {
      const [{ id, message }] = entry.frames;
      if (!conversation.find(id) && (entry.parent === null || conversation.find(entry.parent))) this.#begin(conversation, entry);
      else {
        outbox.remove(id);
        if (!conversation.knows(id)) this.#putBack(conversation.desk, { message, attachments: entry.attachments });
      }
    }
    this.#shape();
  }

  /** The same for those that are not shown. */
  #sendKept() {
    for (const entry of outbox.all()) {
      if (entry.conversation === this.conversation.key) continue;
      const conversation = new Conversation(entry.fresh ? { key: entry.conversation } : { id: entry.conversation });
      conversation.desk = deskOf(entry.conversation);
      this.#begin(conversation, entry);
    }
  }

  #frame(message, attachments, model, parent) {
    const { conversation } = this;
    const { system_prompt: system, parameters } = conversation.settings;
    const frame = { type: "chat", id: crypto.randomUUID(), message, model, ...parameters, ...(system && { system_prompt: system }) };
    if (attachments.length) frame.attachments = attachments.map((file) => file.id);
    if (conversation.temporary) return { ...frame, temporary: true, messages: this.#spoken(parent, { ...frame, temporary: true, messages: [] }) };
    if (conversation.id || !conversation.path.length) Object.assign(frame, { conversation: conversation.key, parent });
    return frame;
  }

  /** A temporary chat so far, for the server does not keep it: the newest turns that have room in a frame. */
  #spoken(parent, frame) {
    const { conversation } = this;
    const before = conversation.path.slice(0, conversation.path.findIndex((turn) => turn.id === parent) + 1);
    let room = this.socket.room(frame);
    const spoken = [];
    for (const turn of before.toReversed()) {
      const files = turn.attachments.map((file) => file.id);
      const messages = [{ role: "user", content: turn.prompt, ...(files.length && { attachments: files }) }, ...(turn.answer ? [{ role: "assistant", content: turn.answer }] : [])];
      room -= bytesOf(messages);
      if (room < 0 || spoken.length + messages.length > MOST_MESSAGES) {
        if (!conversation.cut) toast(gettext("This chat has become so long that its beginning is no longer sent along."));
        conversation.cut = true;
        break;
      }
      spoken.unshift(...messages);
    }
    return spoken;
  }

  #draftFrames() {
    const { composer, desk, conversation } = this;
    if (!composer.text && !desk.files.length) return [];
    return this.chosen.map((model) => this.#frame(composer.text || "?", desk.attachments, model, conversation.leaf?.id ?? null));
  }

  #started({ turn, frame }) {
    const asked = this.#asks.get(turn);
    outbox.remove(turn.id);
    if (asked) this.#goOnAsking(asked, frame);
    if (!frame.conversation) return;
    if (!asked?.conversation.known) return void this.sidebar.load();
    const { title, folder, pinned } = asked.conversation.about;
    this.sidebar.put({ id: frame.conversation, title: frame.title || title, folder, pinned, changed: new Date().toISOString(), running: true, model: turn.model });
  }

  /** The first of several is saved: now there is a conversation for the others. */
  #goOnAsking(asked, frame) {
    const { conversation } = asked;
    if (!conversation.id && !conversation.temporary && frame.conversation) {
      conversation.id = frame.conversation;
      conversation.describe({ title: frame.title ?? "" });
      if (conversation === this.conversation) {
        history.replaceState(null, "", `/chat/${conversation.id}`);
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
    this.quota.after(frame);
    const id = frame.conversation ?? this.#asks.get(turn)?.conversation.id ?? (this.conversation.find(turn.id) && this.conversation.id);
    if (id) this.sidebar.update(id, { running: false });
    if (!this.conversation.find(turn.id)) return;
    if (turn.state === "done") this.#announce(fill(gettext("%(model)s has answered: %(words)s"), { model: this.models.name(turn.model), words: turn.answer.slice(0, 400) }));
    this.#shape();
    if (turn.state !== "failed" && !this.conversation.running.length) this.#next();
  }

  #next() {
    const entry = this.queue.next();
    if (entry && !this.ask(entry.message, entry)) this.#putBack(this.desk, entry);
  }

  /** Nothing was saved: the words go back to where they were written. */
  #refused({ turn, frame }) {
    const asked = this.#asks.get(turn);
    const left = turn.columns.filter((other) => other !== turn && !asked.others.some((one) => one.turn === other));
    if (left.length) {
      asked.conversation.drop(turn);
      toast(`${this.models.name(turn.requested_model)}: ${frame.detail}`, { kind: "bad" });
      this.#shape();
      return;
    }
    const { conversation, entry } = asked;
    outbox.remove(turn.id);
    asked.undo();
    if (!conversation.id) this.#sit(conversation, "new");
    if (!entry.again) this.#putBack(conversation.desk, { message: entry.frames[0].message, attachments: entry.attachments });
    if (conversation.key !== this.conversation.key) {
      toast(conversation.temporary ? frame.detail : `${frame.detail} ${gettext("What you wrote is a draft in its chat.")}`, { kind: "bad" });
      return;
    }
    const again = entry.again && conversation.find(entry.again);
    const retry = (model) => {
      if (model) this.#pick([model]);
      if (again) this.regenerate(again, model);
      else this.send();
    };
    this.#note(frame, frame.code === "quota_exceeded" && !frame.models_available_now?.length ? null : retry);
    this.#shape();
  }

  /** Says below the turns what went wrong. */
  #note(error, retry = null) {
    at("notes").replaceChildren(errorCard(error, { saying: error.saying, models: this.models, retry, choose: () => this.pickModels() }));
    this.thread.toEnd();
  }

  #forgive() {
    at("notes").replaceChildren();
  }

  stop() {
    for (const turn of this.conversation.running) this.runs.stop(turn);
  }

  /** Another answer to the same question. */
  regenerate(turn, model) {
    this.ask(turn.prompt, { parent: turn.parent, attachments: turn.attachments, models: [model || turn.requested_model || this.chosen[0]], again: turn.id });
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
    if (conversation.temporary) return conversation.goBackTo(id);
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

  /** Whom to ask from now on; of those that are there no longer nobody. */
  #pick(ids, keep = true) {
    this.chosen = ids.filter((id) => id && this.models.allows(id)).slice(0, MOST_BESIDE);
    if (!this.chosen.length) this.chosen = [boot.default_model];
    if (keep) kept.set("models", this.chosen);
    this.#showModels();
    this.quote?.ask();
  }

  pickModels() {
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
    const running = this.conversation.running.length > 0;
    this.composer.shape({ running, empty: !this.composer.text });
    this.queue.shape({ running });
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
