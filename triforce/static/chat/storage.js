import { boot } from "./boot.js";

const key = (name) => `triforce:${boot.user ?? "guest"}:${name}`;

/** What this browser keeps of its user, where it lets us keep anything. */
export const kept = {
  get(name, otherwise = null) {
    try {
      return JSON.parse(localStorage.getItem(key(name))) ?? otherwise;
    } catch {
      return otherwise;
    }
  },
  set(name, value) {
    try {
      if (value === null || value === "") localStorage.removeItem(key(name));
      else localStorage.setItem(key(name), JSON.stringify(value));
    } catch {
      // private windows and full disks: the page works on, it only forgets
    }
  },
};
