"use strict";
// The dialog with the provenance of runs.

function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  const minutes = Math.round(seconds / 60);
  if (minutes < 1) return `${fixed(seconds, 1)} s`;
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function gitText(git) {
  if (!git || typeof git !== "object") return git;
  return `${git.commit ?? ""}${git.dirty ? " (with uncommitted changes)" : ""}`;
}

function versionsText(versions) {
  return Object.entries(versions || {}).map(([name, version]) => `${name} ${version}`).join(", ");
}

function encoderText(encoder) {
  if (!encoder) return "none";
  return typeof encoder === "string" ? encoder : encoder.fingerprint || JSON.stringify(encoder);
}

function runFacts(run) {
  const known = (value, unit, digits) =>
    value === null || value === undefined ? "" : `${fixed(value, digits)} ${unit}`;
  return factList(
    ...fact("Finished", run.finished),
    ...fact("Device", run.device),
    ...fact("Wall time", duration(run.wall_time_s)),
    ...fact("Throughput", known(run.images_per_s, "images/s", 1)),
    ...fact("Peak memory", known(run.peak_memory_mb, "MiB", 0)),
    ...fact("Images scored", run.n_images?.toLocaleString("en")),
    ...fact("Known leakage", leakageWords(run.leakage)),
    ...fact("Skipped steps", run.skipped_steps ? `${run.skipped_steps}` : ""),
    ...fact("Code", gitText(run.git)),
    ...fact("Encoder", encoderText(run.encoder)),
    ...fact("Split hash", run.split_hash),
    ...fact("Pre-training data hash", run.corpus_hash),
    ...fact("Config hash", run.config_hash),
    ...fact("Packages", versionsText(run.versions)),
  );
}

function runMetrics(run) {
  const rows = Object.entries(run.metrics || {}).map(([name, entry]) => {
    const value = typeof entry === "number" ? entry : entry?.value;
    return [name, fixed(value, 4), entry?.definition || ""];
  });
  return rows.length
    ? plainTable(["Metric", "Value", "Definition"], rows, { numbers: [1] })
    : null;
}

/** Copies text, or selects it: in some browsers a page opened as a file has no clipboard. */
async function copyText(text, source, button) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    source.hidden = false;
    getSelection().selectAllChildren(source);
    button.textContent = "Selected: press Ctrl+C";
  }
  setTimeout(() => (button.textContent = label), 2000);
}

class Details {
  constructor(data) {
    this.data = data;
    this.runs = new Runs();
    this.dialog = document.getElementById("details");
    // A click on the dialog itself, not on what it holds, is a click on its backdrop.
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close();
    });
  }

  /** The details of a row; `column` (an index) restricts them to the runs behind one cell. */
  async open(board, row, column = null) {
    const cells = column === null ? row.cells : [row.cells[column]];
    const ids = [...new Set(cells.flatMap((cell) => cell?.runs || []))];
    const runs = await this.runs.read(ids);
    const title = column === null ? "" : ` · ${board.column(column)}`;
    const close = quietButton("Close", () => this.dialog.close());
    const heading = el("h2", { id: "details-title", text: board.label(row) + title });
    this.dialog.replaceChildren(
      el("div", { class: "details-head" }, heading, close),
      el("div", { class: "details-body" }, this.rowFacts(row), ...this.runChooser(runs, row)),
    );
    this.dialog.showModal();
  }

  rowFacts(row) {
    const { paper, code, licence } = methodLinks(this.data, row);
    return factList(
      ...fact("Family", row.family),
      ...fact("Pre-training data", row.pretraining),
      ...fact("Paper", paper),
      ...fact("Official code", code),
      ...fact("Licence of the released weights", licence),
      ...fact("Origin", row.origin),
      ...fact("Source", row.source),
    );
  }

  runChooser(runs, row) {
    const known = [...runs.keys()];
    if (!known.length) {
      const why = row.origin === "published"
        ? "A published number: there is no run behind it here."
        : "No run record of this row is on the page.";
      return [el("p", { class: "hint", text: why })];
    }
    const body = el("div", {});
    const select = choice(known.map((id) => [id, id]), (id) => this.showRun(runs.get(id), body));
    this.showRun(runs.get(known[0]), body);
    return [labelled(`Run (${known.length} in all)`, select), body];
  }

  showRun(run, body) {
    const text = JSON.stringify(run, null, 2);
    const json = el("pre", { tabindex: "0", text });
    const copy = quietButton("Copy JSON", () => copyText(text, json, copy));
    const head = el("div", { class: "json-head" }, el("h3", { text: "Record" }), copy);
    body.replaceChildren(...[runFacts(run), runMetrics(run), head, json].filter(Boolean));
  }
}
