"use strict";
// Frame, ground truth, prediction and difference, for one or two methods side by side.

const VIEWER_HINT =
  "On a picture: left and right arrow change the frame, up and down the method, Enter enlarges, " +
  "Esc closes.";

class Viewer {
  constructor(board, entries, store, pictures) {
    Object.assign(this, { board, entries, store, pictures });
    this.strength = 0.65;
    this.shown = "";
    this.tiles = [];
    this.lightbox = document.getElementById("lightbox");
    this.lightbox.addEventListener("keydown", (event) => this.enlarged && this.onKey(event));
    this.lightbox.addEventListener("click", () => this.lightbox.close());
    this.lightbox.addEventListener("close", () => (this.enlarged = null));
    const titles = board.columns.map((column) => [column.dataset, column.dataset_title]);
    const named = new Map(titles);
    const sets = [...new Set(entries.map((entry) => entry.dataset))];
    this.sets = sets.map((id) => [id, named.get(id) || id]);
    this.node = this.makeNode();
  }

  makeNode() {
    this.first = choice([], (value) => this.store.set({ a: value }));
    this.second = choice([], (value) => this.store.set({ b: value }));
    this.set = choice(this.sets, (value) => this.store.set({ set: value, image: "" }));
    this.slider = el("input", { type: "range", min: "0", step: "1", "aria-label": "Picture" });
    this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
    const back = quietButton("‹", () => this.step(-1), { "aria-label": "Previous picture" });
    const forth = quietButton("›", () => this.step(1), { "aria-label": "Next picture" });
    const stepper = el("div", { class: "stepper" }, back, this.slider, forth);
    [this.set.name, this.first.name, this.second.name] = ["set", "a", "b"];
    this.name = el("p", { class: "image-name", role: "status" });
    const opacity = el("input", { type: "range", name: "overlay", min: "0", max: "100" });
    opacity.value = `${100 * this.strength}`;
    opacity.addEventListener("input", () => {
      this.strength = Number(opacity.value) / 100;
      this.paint();
    });
    const bar = el(
      "div",
      { class: "toolbar-row" },
      this.sets.length > 1 ? labelled("Dataset", this.set) : null,
      el("div", { class: "field" }, el("span", { text: "Picture" }), stepper),
      labelled("Method", this.first),
      labelled("Compare with", this.second),
      labelled("Overlay", opacity),
    );
    this.grid = el("div", { class: "tiles" });
    this.grid.addEventListener("keydown", (event) => this.onKey(event));
    const sample = (name, words) =>
      el("li", {}, el("span", { class: `swatch ${name}` }), ` ${words}`);
    this.legend = el(
      "ul",
      { class: "legend" },
      sample("hit", "vessel found (true positive)"),
      sample("extra", "found, but no vessel (false positive)"),
      sample("missed", "vessel missed (false negative)"),
    );
    this.boxes = el(
      "ul",
      { class: "legend" },
      sample("hit", "true box"),
      sample("found", "predicted box (dashed), with its score"),
    );
    const parts = [bar, this.name, this.grid, this.legend, this.boxes];
    return section(`${this.board.id}-viewer`, "Pictures", VIEWER_HINT, ...parts);
  }

  /** Pictures of the chosen dataset, and the index of the chosen one. */
  choose(state) {
    const set = this.sets.some(([id]) => id === state.set) ? state.set : this.sets[0][0];
    const list = this.entries.filter((entry) => entry.dataset === set);
    const index = Math.max(0, list.findIndex((entry) => entry.image === state.image));
    const entry = list[index];
    const options = entry.predictions.map((prediction) => [
      this.keyOf(prediction),
      this.titleOf(entry, prediction),
    ]);
    const has = (key) => options.some(([value]) => value === key);
    const a = has(state.a) ? state.a : (options[0]?.[0] ?? "");
    return { set, list, index, entry, options, a, b: has(state.b) ? state.b : "" };
  }

  keyOf(prediction) {
    return `${prediction.row}:${prediction.seed}`;
  }

  titleOf(entry, prediction) {
    const row = this.board.row.get(prediction.row);
    const title = row ? this.board.label(row) : prediction.row;
    const several = entry.predictions.filter((other) => other.row === prediction.row).length > 1;
    return several ? `${title}, seed ${prediction.seed}` : title;
  }

  step(by) {
    const { index, list } = this.choose(this.store.state);
    this.go((index + by + list.length) % list.length);
  }

  go(index) {
    this.store.set({ image: this.choose(this.store.state).list[index].image });
  }

  stepMethod(by) {
    const { options, a } = this.choose(this.store.state);
    if (!options.length) return;
    const place = options.findIndex(([value]) => value === a);
    this.store.set({ a: options[(place + by + options.length) % options.length][0] });
  }

  onKey(event) {
    const actions = {
      ArrowLeft: () => this.step(-1),
      ArrowRight: () => this.step(1),
      ArrowUp: () => this.stepMethod(-1),
      ArrowDown: () => this.stepMethod(1),
    };
    if (!(event.key in actions)) return;
    actions[event.key]();
    event.preventDefault();
  }

  refresh(state) {
    const view = this.choose(state);
    const key = JSON.stringify([view.set, view.entry.image, view.a, view.b]);
    if (key === this.shown) return;
    if (this.view?.entry !== view.entry) this.pictures.clear();
    this.shown = key;
    this.view = view;
    this.fillControls(view);
    this.load(view, key);
  }

  fillControls({ set, list, index, entry, options, a, b }) {
    const fill = (select, pairs, value) => {
      select.replaceChildren(...pairs.map(([id, text]) => el("option", { value: id, text })));
      select.value = value;
    };
    this.set.value = set;
    this.slider.max = `${list.length - 1}`;
    this.slider.value = `${index}`;
    this.name.textContent = `${index + 1} of ${list.length} · ${entry.image}`;
    fill(this.first, options, a);
    const others = options.filter(([value]) => value !== a);
    fill(this.second, [["", "none"], ...others], b === a ? "" : b);
    this.legend.hidden = !entry.truth;
    this.boxes.hidden = Boolean(entry.truth) || this.board.task !== "detection";
  }

  /** Decodes and draws the view, unless the reader has moved on meanwhile. */
  async load({ entry, a, b }, key) {
    const chosen = [...new Set([a, b])].filter(Boolean);
    const predictions = chosen.map((id) => entry.predictions.find((p) => this.keyOf(p) === id));
    const names = predictions.map(({ mask, picture }) => mask || picture);
    const read = (name) => name && this.pictures.read(name);
    try {
      const [frame, truth, ...found] = await Promise.all(
        [entry.frame, entry.truth, ...names].map(read),
      );
      if (key !== this.shown) return;
      this.tiles = this.makeTiles(entry, frame, truth, predictions, found);
    } catch (error) {
      if (key !== this.shown) return;
      this.grid.replaceChildren(el("p", { text: `This picture cannot be read: ${error.message}` }));
      return;
    }
    const figures = this.tiles.map((tile) => this.figureOf(tile));
    // The focus stays on its tile when the picture changes.
    const { activeElement } = document;
    const held = [...this.grid.children].findIndex((figure) => figure.contains(activeElement));
    this.grid.className = `tiles ${predictions.length > 1 ? "two" : "one"}`;
    this.grid.replaceChildren(...figures);
    figures[Math.min(held, figures.length - 1)]?.querySelector("button").focus();
    this.paint();
  }

  makeTiles(entry, frame, truth, predictions, found) {
    const size = { width: frame.naturalWidth, height: frame.naturalHeight };
    const over = (layers) => (canvas) => paintLayers(canvas, frame, layers, this.strength);
    const top = [{ key: "frame", title: "Frame", paint: over([]) }];
    const below = [];
    if (truth) {
      const paint = over([layer(size, HIT, truth)]);
      below.push({ key: "truth", title: "Ground truth", paint });
    }
    predictions.forEach((prediction, place) => {
      const title = this.titleOf(entry, prediction);
      const caption = this.scoresOf(entry, prediction);
      const picture = found[place];
      const add = (paint) => top.push({ key: `prediction-${place}`, title, caption, paint });
      if (prediction.boxes) {
        add((canvas) => paintBoxes(canvas, frame, entry.truth_boxes, prediction.boxes));
      } else if (!truth) {
        add((canvas) => paintLayers(canvas, picture, [], 1));
      } else {
        add(over([layer(size, HIT, picture)]));
        const paint = over(differenceLayers(size, truth, picture));
        below.push({ key: `difference-${place}`, title: "Difference", caption: title, paint });
      }
    });
    // One method: frame, truth, prediction, difference; two: methods above their differences.
    if (predictions.length > 1 || !truth) return [...top, ...below];
    return [top[0], below[0], ...top.slice(1), ...below.slice(1)];
  }

  scoresOf(entry, prediction) {
    const own = this.board.columns.filter((column) => column.dataset === entry.dataset);
    const label = (name) => own.find((column) => column.metric === name)?.label || name;
    const scores = Object.entries(prediction.scores || {});
    return scores.map(([name, value]) => `${label(name)} ${fixed(value)}`).join(" · ");
  }

  figureOf(tile) {
    tile.canvas = el("canvas", { "data-tile": tile.key });
    const props = { class: "tile", type: "button", "aria-label": `Enlarge: ${tile.title}` };
    const button = el("button", props, tile.canvas);
    button.addEventListener("click", () => this.enlarge(tile.key));
    const caption = el("figcaption", {}, el("b", { text: tile.title }), ` ${tile.caption || ""}`);
    return el("figure", {}, button, caption);
  }

  enlarge(key) {
    this.enlarged = key;
    this.paint();
    this.lightbox.showModal();
  }

  paint() {
    for (const tile of this.tiles) tile.paint(tile.canvas);
    const tile = this.tiles.find((one) => one.key === this.enlarged);
    if (!tile) return;
    const canvas = el("canvas");
    tile.paint(canvas);
    const words = `${tile.title} ${tile.caption || ""} · ${this.name.textContent}`;
    const close = quietButton("Close", () => this.lightbox.close());
    const head = el("div", { class: "details-head" }, el("p", { text: words }), close);
    this.lightbox.replaceChildren(canvas, head);
  }
}
