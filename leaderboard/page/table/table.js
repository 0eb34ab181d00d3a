"use strict";
// The ranking table. It is built once; sorting re-appends its rows, filters hide them.

/** The text of a cell for screen readers: what typeface and marks show. */
function cellText(board, index, cell, test, reference) {
  const words = [plusMinus(cell.mean, cell.std, board.columns[index].digits)];
  if (cell.place === 1) words.push("best");
  if (cell.place === 2) words.push("second");
  if (cell.tier === 1 && cell.place > 1) words.push("not separable from the best");
  if (cell.leakage) words.push(`known leakage: ${cell.leakage}`);
  if (cell.skipped_steps) words.push(count(cell.skipped_steps, "skipped step"));
  if (test) words.push(verdictWords(test, board.label(reference)));
  return words.join(", ");
}

class RankingTable {
  constructor(board, store, popover, details) {
    Object.assign(this, { board, store, popover, details });
    this.heads = new Map();
    this.groups = [];
    this.lines = new Map();
    const help =
      "Arrow keys move between cells, Enter opens the runs behind a cell, Space pins a row.";
    const what = `${board.title}: mean and standard deviation over seeds.`;
    this.caption = el("caption", { class: "sr", text: `${what} ${help}` });
    this.body = el("tbody", {}, ...board.rows.map((row) => this.makeRow(row)));
    const parts = [this.caption, this.makeHead(), this.body];
    const words = { role: "grid", "aria-multiselectable": "true" };
    const table = el("table", { class: "board", ...words }, ...parts);
    this.node = scrollBox(board.title, { class: "table-box" }, table);
    this.node.board = board;
    this.listen();
  }

  sortButton(key, text, unit, title) {
    const button = el("button", { class: "sort", type: "button", title });
    button.append(text);
    if (unit) button.append(" ", el("span", { class: "unit", text: unit }));
    button.append(el("span", { class: "arrow", "aria-hidden": "true" }));
    button.addEventListener("click", () => {
      const { state } = this.store;
      const again = this.board.sortKey(state) === key;
      const flipped = this.board.sortDirection(state) === "asc" ? "desc" : "asc";
      const dir = again ? flipped : this.board.firstDirection(key);
      this.store.set({ sort: key, dir: dir === this.board.firstDirection(key) ? "" : dir });
    });
    return button;
  }

  sortHead(key, props, ...text) {
    const th = el("th", { scope: "col", ...props }, this.sortButton(key, ...text));
    this.heads.set(key, th);
    return th;
  }

  makeHead() {
    const two = { rowspan: "2" };
    const [, ranked, note] = /^(.*?)(?: \((.*)\))?$/.exec(this.board.rankTitle);
    const rank = "Mean rank over all columns, among the complete rows";
    const top = [
      this.sortHead("title", { ...two, class: "stick" }, "Method"),
      this.sortHead("family", { ...two, class: "word" }, "Family"),
      this.sortHead("pretraining", { ...two, class: "word" }, "Pre-training"),
      this.sortHead("rank", { ...two, class: "rank" }, ranked, note, rank),
    ];
    const second = [];
    let group = null;
    for (const column of this.board.columns) {
      const first = !group || group.dataset !== column.dataset;
      if (first) {
        const th = el("th", { scope: "colgroup", class: "group", text: column.dataset_title });
        group = { dataset: column.dataset, indices: [], th };
        this.groups.push(group);
        top.push(th);
      }
      group.indices.push(second.length);
      group.th.setAttribute("colspan", `${group.indices.length}`);
      const better = column.higher_is_better ? "higher is better" : "lower is better";
      const falls = column.score !== false && !column.higher_is_better;
      const unit = falls ? `${column.unit} ↓`.trim() : column.unit;
      const title = `${column.definition}, ${better}`;
      const props = { class: first ? "num first" : "num" };
      second.push(this.sortHead(column.id, props, column.label, unit, title));
    }
    return el("thead", {}, el("tr", {}, ...top), el("tr", {}, ...second));
  }

  makeRow(row) {
    const { board } = this;
    const position = board.positions.get(row.id);
    const place = { text: position ? `${position}` : "", title: "Position by average rank" };
    const badge = el("span", { class: "badge", ...place });
    const name = el("span", { class: "name", text: row.title });
    const tag = (text, props) => el("span", { class: "tag", text, ...props });
    const reference = tag("reference", { class: "tag reference" });
    const tags = el("span", { class: "tags" });
    if (!board.competes(row)) tags.append(tag("published", { title: row.source }));
    if (!row.complete) tags.append(tag("incomplete"));
    tags.append(reference);
    const who = el("span", { class: "who" }, name, tags);
    const words = { type: "checkbox", class: "pin", tabindex: "-1" };
    const pin = el("input", { ...words, "aria-label": `Pin ${board.label(row)}` });
    pin.addEventListener("change", () => togglePin(this.store, row));
    const head = el("th", { scope: "row", class: "stick", tabindex: "-1" }, pin, badge, who);
    const rank = el("td", { class: "num rank", tabindex: "-1", text: NONE });
    if (row.average_rank) {
      rank.replaceChildren(el("span", { class: "mean", text: fixed(row.average_rank.mean) }));
      if (row.average_rank.std !== null) {
        rank.append(" ", el("span", { class: "std", text: `± ${fixed(row.average_rank.std)}` }));
      }
      const { warning } = signsOf(rankCell(row));
      const words = warningWords([rankCell(row)]);
      if (warning) rank.append(el("span", { class: "warning", title: words, text: warning }));
    }
    const texts = [row.family, row.pretraining].map((text) =>
      el("td", { class: "word", tabindex: "-1", text: text || NONE }),
    );
    const cells = row.cells.map((cell, index) => this.makeCell(cell, index));
    const about = { family: texts[0], pretraining: texts[1], rank };
    const tr = el("tr", {}, head, ...texts, rank, ...cells.map((entry) => entry.td));
    const line = { row, tr, cells, reference, pin, about };
    this.lines.set(row.id, line);
    tr.line = line;
    return tr;
  }

  makeCell(cell, index) {
    const columns = this.board.columns;
    const first = index === 0 || columns[index - 1].dataset !== columns[index].dataset;
    const td = el("td", { class: first ? "num first" : "num", tabindex: "-1" });
    if (!cell) {
      td.append(el("span", { class: "none", text: NONE }));
      return { td, mark: null };
    }
    if (cell.place === 1) td.classList.add("best");
    if (cell.place === 2) td.classList.add("second");
    const mark = el("span", { class: "mark", "aria-hidden": "true" });
    const { digits } = columns[index];
    const std = cell.std === null ? "" : `± ${fixed(cell.std, digits)}`;
    const mean = el("span", { class: "mean", text: fixed(cell.mean, digits) });
    const signs = signsOf(cell);
    const rank = el("span", { class: "cell-rank", text: signs.rank });
    const tier = el("span", { class: "tier", "aria-hidden": "true", text: signs.par });
    const warning = el("span", { class: "warning", "aria-hidden": "true", text: signs.warning });
    td.append(mark, mean, " ", el("span", { class: "std", text: std }), rank, tier, warning);
    return { td, mark };
  }

  /** Row and column of the cell under an event; columns −4 … −1 are the texts and the rank. */
  at(event) {
    const td = event.target.closest("tbody td, tbody th");
    return td && this.body.contains(td)
      ? { td, line: td.parentNode.line, index: td.cellIndex - 4 }
      : null;
  }

  listen() {
    const show = (event) => {
      const place = this.at(event);
      if (place) this.showFacts(place);
    };
    this.body.addEventListener("pointerover", (event) => {
      if (event.pointerType === "mouse") show(event);
    });
    this.body.addEventListener("pointerleave", () => this.popover.hideSoon());
    this.body.addEventListener("focusin", (event) => {
      const place = this.at(event);
      if (!place) return;
      this.makeTabStop(place.td);
      this.showFacts(place);
    });
    this.body.addEventListener("focusout", () => this.popover.hideSoon());
    this.body.addEventListener("click", (event) => {
      const place = event.target.closest(".pin") ? null : this.at(event);
      // A tap shows the facts; their button opens the runs.
      if (place?.index === -4) this.openDetails(place);
      else place?.td.focus();
    });
    this.body.addEventListener("keydown", (event) => this.onKey(event));
  }

  openDetails({ line, index }) {
    this.popover.hide();
    if (index < 0) this.details.open(this.board, line.row);
    else if (line.row.cells[index]) this.details.open(this.board, line.row, index);
  }

  showFacts(place) {
    const { td, line, index } = place;
    const { row } = line;
    const reference = this.board.referenceOf(this.store.state);
    const more = quietButton("Run details", () => this.openDetails(place));
    if (index >= 0 && row.cells[index]) {
      const facts = cellFacts(this.board, row, index, reference);
      this.popover.show(td, row.cells[index].runs.length ? [...facts, more] : facts);
    } else if (index === -1 && row.average_rank) this.popover.show(td, rankFacts(this.board, row));
    else this.popover.hideSoon();
  }

  makeTabStop(td) {
    if (this.stop) this.stop.tabIndex = -1;
    this.stop = td;
    td.tabIndex = 0;
  }

  onKey(event) {
    const place = this.at(event);
    if (!place || event.ctrlKey || event.metaKey || event.altKey) return;
    const rows = [...this.body.rows].filter((tr) => !tr.hidden);
    // Narrow screens have fewer columns.
    const shown = (tr) => [...tr.cells].filter((td) => td.offsetWidth);
    const own = shown(place.td.parentNode);
    const [y, x, last] = [rows.indexOf(place.td.parentNode), own.indexOf(place.td), own.length - 1];
    const moves = {
      ArrowUp: [y - 1, x], ArrowDown: [y + 1, x], ArrowLeft: [y, x - 1], ArrowRight: [y, x + 1],
      Home: [y, 0], End: [y, last], PageUp: [Math.max(0, y - 10), x],
      PageDown: [Math.min(rows.length - 1, y + 10), x],
    };
    if (event.key in moves) {
      const [row, column] = moves[event.key];
      if (rows[row]) shown(rows[row])[column]?.focus();
      event.preventDefault();
    } else if (event.key === " " && event.target !== place.line.pin) {
      togglePin(this.store, place.line.row);
      event.preventDefault();
    } else if (event.key === "Enter") {
      this.openDetails(place);
      event.preventDefault();
    }
  }

  refresh(state) {
    const { board } = this;
    const reference = board.referenceOf(state);
    const visible = new Set(board.visible(state).map((row) => row.id));
    this.sort(state);
    this.showColumns(state);
    if (this.reference !== reference) this.markRows(reference);
    const pinned = new Set(board.pinned(state));
    for (const { row, tr, pin } of this.lines.values()) {
      pin.checked = pinned.has(row);
      tr.classList.toggle("is-pinned", pinned.has(row));
      tr.setAttribute("aria-selected", `${pinned.has(row)}`);
    }
    for (const line of this.lines.values()) line.tr.hidden = !visible.has(line.row.id);
    this.body.classList.toggle("with-ranks", Boolean(state.ranks));
    if (!this.stop || this.stop.hidden || this.stop.parentNode.hidden) {
      const top = [...this.body.rows].find((tr) => !tr.hidden);
      if (top) this.makeTabStop(top.cells[0]);
    }
  }

  /** Appends the rows in their new order, if there is one. */
  sort(state) {
    const [key, dir] = [this.board.sortKey(state), this.board.sortDirection(state)];
    if (this.order === `${key} ${dir} ${state.pin}`) return;
    this.order = `${key} ${dir} ${state.pin}`;
    const focused = this.body.contains(document.activeElement) ? document.activeElement : null;
    this.body.append(...this.board.sorted(state).map((row) => this.lines.get(row.id).tr));
    // A row that moves loses the focus.
    focused?.focus();
    for (const [name, th] of this.heads) {
      if (name === key) th.setAttribute("aria-sort", dir === "asc" ? "ascending" : "descending");
      else th.removeAttribute("aria-sort");
    }
  }

  showColumns(state) {
    if (this.hide === state.hide) return;
    this.hide = state.hide;
    const [shown, texts] = [new Set(this.board.shown(state)), this.board.shownTexts(state)];
    for (const key of ["family", "pretraining", "rank"]) {
      this.heads.get(key).hidden = !texts.has(key);
      for (const { about } of this.lines.values()) about[key].hidden = !texts.has(key);
    }
    for (const { th, indices } of this.groups) {
      const left = indices.filter((index) => shown.has(index));
      th.hidden = !left.length;
      th.setAttribute("colspan", `${left.length || 1}`);
      for (const index of indices) this.showColumn(index, shown.has(index), index === left[0]);
    }
  }

  showColumn(index, isShown, isFirst) {
    const cells = [...this.lines.values()].map(({ cells }) => cells[index].td);
    for (const node of [this.heads.get(this.board.columns[index].id), ...cells]) {
      node.hidden = !isShown;
      node.classList.toggle("first", isFirst);
    }
  }

  markRows(reference) {
    this.reference = reference;
    for (const line of this.lines.values()) {
      line.tr.classList.toggle("is-reference", line.row === reference);
      line.reference.hidden = line.row !== reference;
      this.markCells(line, reference);
    }
  }

  markCells({ row, cells }, reference) {
    cells.forEach(({ td, mark }, index) => {
      if (!mark) return;
      const test = this.board.comparison(reference, row, this.board.columns[index]);
      const verdict = test ? verdictOf(test) : { mark: "", name: "" };
      mark.textContent = verdict.mark;
      mark.className = `mark ${verdict.name}`;
      const label = cellText(this.board, index, row.cells[index], test, reference);
      td.setAttribute("aria-label", label);
    });
  }
}
