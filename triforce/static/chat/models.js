import { api } from "./api.js";
import { boot } from "./boot.js";
import { kept } from "./storage.js";
import { gettext, wordsOf } from "./text.js";

const BADGES = { vision: gettext("Sees pictures"), tools: gettext("Tools"), reasoning: gettext("Reasons") };
const STATES = { healthy: gettext("works"), degraded: gettext("falters"), offline: gettext("away"), no_api_key: gettext("not set up"), unknown: gettext("not asked yet") };

/** The models there are for this person. Event: "change" (they are here, or the favourites are others). */
export class Models extends EventTarget {
  list = [];
  upgrade = false;
  #byId = new Map();
  #favourites = new Set(boot.user ? boot.favourites : kept.get("favourites", []));

  async load() {
    const { models, upgrade_available: upgrade } = await api.models();
    this.list = models;
    this.upgrade = upgrade;
    this.#byId = new Map(models.map((model) => [model.id, model]));
    this.#tell();
  }

  get(id) {
    return this.#byId.get(id);
  }

  /** Whether that one may be asked; before the list is here nobody knows better. */
  allows(id) {
    return !this.list.length || this.get(id) !== undefined;
  }

  /** A model's name as people say it. */
  name(id) {
    return this.get(id)?.name || (id ?? "").slice((id ?? "").indexOf("/") + 1);
  }

  can(id, capability) {
    return this.get(id)?.capabilities?.includes(capability) ?? false;
  }

  badges(model) {
    return Object.keys(BADGES).filter((name) => model.capabilities?.includes(name)).map((name) => BADGES[name]);
  }

  state(model) {
    return STATES[model.status] ?? STATES.unknown;
  }

  isFavourite(id) {
    return this.#favourites.has(id);
  }

  async toggleFavourite(id) {
    if (!this.#favourites.delete(id)) this.#favourites.add(id);
    this.#tell();
    const ids = [...this.#favourites];
    if (boot.user) await api.settings({ favourites: ids });
    else kept.set("favourites", ids);
  }

  /** Those whose name, id or provider has every word, in groups: favourites first, then by provider. */
  grouped(words = "") {
    const asked = wordsOf(words);
    const fitting = this.list.filter((model) => {
      const text = `${model.name} ${model.id} ${this.badges(model).join(" ")}`.toLowerCase();
      return asked.every((word) => text.includes(word));
    });
    const groups = new Map();
    for (const model of fitting) {
      const group = this.isFavourite(model.id) ? gettext("Favourites") : model.provider;
      groups.set(group, [...(groups.get(group) ?? []), model]);
    }
    const first = groups.get(gettext("Favourites"));
    groups.delete(gettext("Favourites"));
    return first ? [[gettext("Favourites"), first], ...groups] : [...groups];
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }
}
