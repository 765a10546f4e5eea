"use strict";
// Sorts and filters the table of videos.
(() => {
  const table = document.getElementById("table");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const heads = Array.from(table.tHead.rows[0].cells);
  const names = new Intl.Collator(undefined, { numeric: true });

  const keysOf = (column) =>
    rows.map((row) => {
      const text = row.cells[column].dataset.v;
      return { row, text, number: Number(text) };
    });

  function sortBy(column) {
    const head = heads[column];
    const keys = keysOf(column);
    const numeric = keys.every((key) => key.text !== "" && !Number.isNaN(key.number)) && column > 0;
    // Numbers start with the largest, names with the first.
    const first = numeric ? "descending" : "ascending";
    const second = numeric ? "ascending" : "descending";
    const order = head.getAttribute("aria-sort") === first ? second : first;
    const sign = order === "ascending" ? 1 : -1;
    keys.sort((a, b) => sign * (numeric ? a.number - b.number : names.compare(a.text, b.text)));
    body.append(...keys.map((key) => key.row));
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order);
  }
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => sortBy(column)));

  const find = document.getElementById("find");
  const found = document.getElementById("found");
  find.addEventListener("input", () => {
    const part = find.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const text = `${row.cells[0].dataset.v} ${row.textContent}`;
      row.hidden = !text.toLowerCase().includes(part);
      shown += row.hidden ? 0 : 1;
    }
    found.textContent = part ? `${shown} of ${rows.length}` : "";
  });
})();
