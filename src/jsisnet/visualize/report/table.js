"use strict";
const find = (id) => document.getElementById(id);
const table = find("classes-table");
const body = table.tBodies[0];
const headers = [...table.tHead.rows[0].cells];
const text = find("classes-text");
const kind = find("classes-kind");

const value = (row, column) => {
  const cell = row.cells[column];
  const found = cell.dataset.value ?? cell.textContent;
  return found !== "" && isFinite(found) ? Number(found) : found;
};

const compare = (one, other) =>
  typeof one === "number" && typeof other === "number"
    ? one - other
    : String(one).localeCompare(String(other));

const sortBy = (column) => {
  const header = headers[column];
  const before = header.ariaSort;
  const numbers = column > 1;
  const first = numbers ? "descending" : "ascending";
  const second = numbers ? "ascending" : "descending";
  const order = before === first ? second : first;
  const sign = order === "ascending" ? 1 : -1;
  headers.forEach((each) => (each.ariaSort = each === header ? order : "none"));
  const rows = [...body.rows];
  rows.sort((a, b) => sign * compare(value(a, column), value(b, column)));
  body.append(...rows);
};

const filterClasses = () => {
  const wanted = text.value.trim().toLowerCase();
  let shown = 0;
  for (const row of body.rows) {
    const named = row.cells[0].textContent.toLowerCase().includes(wanted);
    row.hidden = !named || (kind.value !== "" && row.cells[1].textContent !== kind.value);
    shown += !row.hidden;
  }
  find("classes-count").value = `${shown} of ${body.rows.length} classes`;
};

headers.forEach((header, column) =>
  header.firstElementChild.addEventListener("click", () => sortBy(column)),
);
for (const each of [text, kind]) each.addEventListener("input", filterClasses);
document.querySelectorAll(".filters").forEach((filters) => (filters.hidden = false));
filterClasses();
