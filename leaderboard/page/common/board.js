"use strict";
// One board and its look-ups. Nothing is tested or averaged here: all is in the data.

const VERDICTS = new Map([
  ["better", { mark: "▲", name: "better" }],
  ["worse", { mark: "▼", name: "worse" }],
  ["not separable", { mark: "≈", name: "same" }],
]);

/** Mark and class name of a verdict; an undefined test (its note is the verdict) has a dot. */
function verdictOf(test) {
  return VERDICTS.get(test.verdict) || { mark: "·", name: "undefined" };
}

/** The verdict on a row in a sentence: "better than MAE", "no test against MAE: other settings". */
function verdictWords({ verdict }, reference) {
  if (!VERDICTS.has(verdict)) return `no test against ${reference}: ${verdict}`;
  return `${verdict} ${verdict === "not separable" ? "from" : "than"} ${reference}`;
}

/** A pill with the verdict; an undefined test says why it is undefined. */
function verdictPill(test) {
  const { mark, name } = verdictOf(test);
  const text = name === "undefined" ? `no test: ${test.verdict}` : test.verdict;
  return el("span", { class: `pill ${name}`, text: `${mark} ${text}` });
}

/** Correction of the verdicts: its name, the p-values they are based on, and how those are headed. */
const CORRECTIONS = {
  holm: { name: "Holm", key: "p_holm", head: "p (Holm)" },
  bh: { name: "Benjamini–Hochberg", key: "p_bh", head: "p (BH)" },
  none: { name: "uncorrected", key: "p", head: "" },
};

class Board {
  constructor(spec, data) {
    const { id, title, task, analysis, origin, columns, rows, friedman, notes } = spec;
    Object.assign(this, { id, title, task, analysis, origin, columns, rows, friedman, notes });
    this.group = spec.group || (analysis ? "analyses" : "");
    this.details = spec.details || [];
    this.families = spec.families;
    this.correction = CORRECTIONS[data.correction || "holm"];
    this.ranked = spec.ranked || [this.rows.length, this.rows.length];
    this.rankTitle = spec.rank_title || "Average rank";
    this.referenceNotes = spec.reference_notes || {};
    this.leaked = this.rows.some((row) => row.cells.some((cell) => cell?.leakage));
    this.costAxes = spec.cost_axes || [];
    const competing = this.rows.filter((row) => this.competes(row));
    this.methods = new Set(competing.map((row) => row.method));
    this.row = new Map(this.rows.map((row) => [row.id, row]));
    this.order = new Map(this.rows.map((row, index) => [row.id, index]));
    this.columnIndex = new Map(this.columns.map((column, index) => [column.id, index]));
    this.packed = new Map(Object.entries(spec.comparisons));
    this.unpacked = new Map();
    this.overalls = new Map(Object.entries(spec.overall));
    const tested = (row) => this.packed.has(row.id) || this.overalls.has(row.id);
    this.references = this.rows.filter(tested);
    this.positions = this.rankPositions();
    this.standard =
      this.references.find((row) => row.id === spec.reference_row) ||
      this.references.find((row) => row.id === data.reference) ||
      this.references.find((row) => row.method === data.reference) ||
      null;
  }

  /** Positions of the complete rows by average rank; ties share the better one. */
  rankPositions() {
    const ranked = this.rows.filter((row) => row.average_rank);
    const means = ranked.map((row) => row.average_rank.mean);
    const better = (row) => means.filter((mean) => mean < row.average_rank.mean).length;
    return new Map(ranked.map((row) => [row.id, 1 + better(row)]));
  }

  /**
   * The row that all others are compared with: the reader's choice, or the declared one. Null where
   * nothing was tested against that.
   */
  referenceOf(state) {
    return this.references.find((row) => row.id === state.ref) || this.standard;
  }

  /** Whether a row has ranks and costs; published ones beside measured ones are for context. */
  competes(row) {
    return this.origin !== "both" || row.origin === "measured";
  }

  /** Title of a row; marks published rows on a board that also has measured ones. */
  label(row) {
    return this.competes(row) ? row.title : `${row.title} (published)`;
  }

  column(index) {
    const { dataset_title: title, label, score } = this.columns[index];
    return score === false && this.group !== "evaluations" ? label : `${title} ${label}`;
  }

  /** Test of a row against a reference in one column; undefined where there is none. */
  comparison(reference, row, column) {
    if (!reference || !this.packed.has(reference.id)) return undefined;
    if (!this.unpacked.has(reference.id)) {
      const { fields, entries } = this.packed.get(reference.id);
      const tests = new Map();
      for (const entry of entries) {
        const test = Object.fromEntries(fields.map((field, index) => [field, entry[index]]));
        if (!tests.has(test.row)) tests.set(test.row, new Map());
        tests.get(test.row).set(test.column, test);
      }
      this.unpacked.set(reference.id, tests);
    }
    return this.unpacked.get(reference.id).get(row.id)?.get(column.id);
  }

  /** The chosen value of a filter; "" where no row of this board has it. */
  filterOf(state, name, field) {
    return this.rows.some((row) => row[field] === state[name]) ? state[name] : "";
  }

  /** The pinned rows, in the order they were pinned in. */
  pinned(state) {
    return listOf(state.pin).map((id) => this.row.get(id)).filter(Boolean);
  }

  /** The pinned rows, and unless these alone are wanted, the rows that pass the filters. */
  visible(state) {
    const pinned = new Set(this.pinned(state));
    if (state.only && pinned.size) return this.rows.filter((row) => pinned.has(row));
    const passing = new Set(this.passing(state));
    return this.rows.filter((row) => pinned.has(row) || passing.has(row));
  }

  /** The rows that pass the filters. */
  passing(state) {
    const family = this.filterOf(state, "family", "family");
    const data = this.filterOf(state, "data", "pretraining");
    const origin = this.filterOf(state, "origin", "origin");
    const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    return this.rows.filter((row) => {
      const text = [row.title, row.method, row.family, row.pretraining, row.source || ""];
      const haystack = text.join(" ").toLowerCase();
      return (
        (!family || row.family === family) &&
        (!data || row.pretraining === data) &&
        (!origin || row.origin === origin) &&
        (!state.complete || row.complete) &&
        (!state.clean || !row.cells.some((cell) => cell?.leakage)) &&
        words.every((word) => haystack.includes(word))
      );
    });
  }

  /** Indices of the columns that the table shows. */
  shown(state) {
    const hidden = new Set(listOf(state.hide));
    const indices = this.columns.map((column, index) => index);
    const shows = ({ id, dataset }) => !hidden.has(id) && !hidden.has(dataset);
    return indices.filter((index) => shows(this.columns[index]));
  }

  /** Keys of the columns about a row that the table shows. */
  shownTexts(state) {
    const hidden = new Set(listOf(state.hide));
    return new Set(aboutColumns(this).map(([key]) => key).filter((key) => !hidden.has(key)));
  }

  /** The key the table is sorted by: the wanted one, if this board has it. */
  sortKey(state) {
    const known = ["title", "family", "pretraining", "rank"].includes(state.sort);
    return known || this.columnIndex.has(state.sort) ? state.sort : "rank";
  }

  /** Texts and ranks start with the smallest, scores with the best. */
  firstDirection(key) {
    const column = this.columns[this.columnIndex.get(key)];
    return column && column.higher_is_better ? "desc" : "asc";
  }

  sortDirection(state) {
    const key = this.sortKey(state);
    const own = key === state.sort && ["asc", "desc"].includes(state.dir);
    return own ? state.dir : this.firstDirection(key);
  }

  sortValue(row, key) {
    if (key === "rank") return row.average_rank?.mean ?? null;
    if (this.columnIndex.has(key)) return row.cells[this.columnIndex.get(key)]?.mean ?? null;
    return row[key];
  }

  /** All rows in order, pinned ones first; rows without a value come last in both directions, ties stay as given. */
  sorted(state) {
    const key = this.sortKey(state);
    const sign = this.sortDirection(state) === "desc" ? -1 : 1;
    const pinned = new Set(this.pinned(state));
    const compare = (a, b) =>
      typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;
    return [...this.rows].sort((first, second) => {
      const above = pinned.has(second) - pinned.has(first);
      if (above) return above;
      const [a, b] = [this.sortValue(first, key), this.sortValue(second, key)];
      if (a === null || b === null) return (a === null) - (b === null) || this.gap(first, second);
      return sign * compare(a, b) || this.gap(first, second);
    });
  }

  gap(first, second) {
    return this.order.get(first.id) - this.order.get(second.id);
  }
}
