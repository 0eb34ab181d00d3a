"use strict";
// What the rows of a board cost.

/** Whether any row of a board has known costs. */
function hasCosts(board, costs) {
  return (costs?.rows || []).some((row) => board.methods.has(row.method));
}

/** The costs of the competing rows of a board, as a plain table. */
function costsSection(board, costs) {
  const numbers = costs.columns.map((column, index) => index + 1);
  const heads = costs.columns.map((column) => withUnit(column.label, column.unit));
  const known = costs.rows.filter((row) => board.methods.has(row.method));
  const sources = [
    ["Measured on", (row) => row.conditions],
    ["Pre-trained on", (row) => row.pretrained_on],
  ].filter(([, text]) => known.some(text));
  const rows = known.map((row) => [
    row.title,
    ...costs.columns.map(({ metric, digits }) => fixed(row.values[metric], digits)),
    ...sources.map(([, text]) => text(row) || NONE),
  ]);
  const table = plainTable(["Method", ...heads, ...sources.map(([head]) => head)], rows, { numbers });
  const meanings = costs.columns.map(({ label, unit, definition }) => [
    withUnit(label, unit),
    definition,
  ]);
  const node = section(
    `${board.id}-costs`,
    "Costs",
    costs.note,
    scrollBox("Costs", {}, table),
    disclosure("Definitions of the costs", plainTable(["Column", "Definition"], meanings)),
  );
  return { node, refresh() {} };
}
