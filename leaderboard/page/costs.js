"use strict";
// What the rows of a board cost.

/** Whether any row of a board has known costs. */
function hasCosts(board, costs) {
  return (costs?.rows || []).some((row) => board.methods.has(row.method));
}

/** The costs of the measured rows of a board, as a plain table. */
function costsSection(board, costs) {
  const numbers = costs.columns.map((column, index) => index + 1);
  const heads = costs.columns.map((column) => withUnit(column.label, column.unit));
  const measured = costs.rows.some((row) => row.conditions);
  const rows = costs.rows
    .filter((row) => board.methods.has(row.method))
    .map((row) => [
      row.title,
      ...costs.columns.map(({ metric, digits }) => fixed(row.values[metric], digits)),
      ...(measured ? [row.conditions || NONE] : []),
    ]);
  const last = measured ? ["Measured on"] : [];
  const table = plainTable(["Method", ...heads, ...last], rows, { numbers });
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
