"use strict";
// The reader's choices, kept in the URL fragment, so that a link shows the same view.

const DEFAULTS = Object.freeze({
  board: "", sort: "rank", dir: "", ref: "", family: "", data: "", origin: "", q: "",
  complete: "", clean: "", ranks: "", hide: "", pin: "", only: "", plot: "", score: "", cost: "",
  set: "", image: "", a: "", b: "",
});
const FILTERS = ["family", "data", "origin", "q", "complete", "clean", "only"];
const NO_FILTERS = Object.fromEntries(FILTERS.map((key) => [key, ""]));

/** The items of a list in the URL; commas within an item are escaped. */
function listOf(text) {
  const items = text.split(",").filter(Boolean);
  return items.map((item) => item.replaceAll("%2C", ",").replaceAll("%25", "%"));
}

function listText(items) {
  return items.map((item) => item.replaceAll("%", "%25").replaceAll(",", "%2C")).join(",");
}

function readHash() {
  const given = new URLSearchParams(location.hash.slice(1));
  const state = { ...DEFAULTS };
  for (const key of Object.keys(DEFAULTS)) if (given.has(key)) state[key] = given.get(key);
  return state;
}

function writeHash(state) {
  const changed = Object.entries(state).filter(([key, value]) => value !== DEFAULTS[key]);
  // Characters that a fragment need not escape stay readable.
  const text = new URLSearchParams(changed)
    .toString()
    .replace(/%2F|%2C|%3A/g, (escape) => decodeURIComponent(escape));
  history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
}

/** The state with its listeners: `set` merges a patch, notifies all and updates the URL. */
class Store {
  constructor() {
    this.state = readHash();
    this.listeners = [];
    this.timer = 0;
    this.hash = location.hash;
    window.addEventListener("hashchange", () => {
      clearTimeout(this.timer);
      this.hash = location.hash;
      this.state = readHash();
      this.notify();
    });
  }

  set(patch) {
    this.state = { ...this.state, ...patch };
    this.notify();
    // Browsers throttle a URL that changes with every keystroke.
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      // A link that was followed in between is not overwritten before its event arrives.
      if (location.hash !== this.hash) return;
      writeHash(this.state);
      this.hash = location.hash;
    }, 150);
  }

  listen(listener) {
    this.listeners.push(listener);
  }

  notify() {
    for (const listener of this.listeners) listener(this.state);
  }
}

// Private windows and some local files refuse storage: then the choice is not remembered.
function remembered(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function remember(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    console.info("The browser keeps no settings for this page.");
  }
}

/** The button for light and dark colours; follows the system until it is used. */
function themeButton() {
  const root = document.documentElement;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const current = () => root.dataset.theme || (dark.matches ? "dark" : "light");
  const button = el("button", { class: "quiet", type: "button", id: "theme" });
  const show = () => {
    button.textContent = current() === "dark" ? "Light colours" : "Dark colours";
  };
  const stored = remembered("board-theme");
  if (stored === "light" || stored === "dark") root.dataset.theme = stored;
  button.addEventListener("click", () => {
    root.dataset.theme = current() === "dark" ? "light" : "dark";
    remember("board-theme", root.dataset.theme);
    show();
  });
  dark.addEventListener("change", show);
  show();
  return button;
}
