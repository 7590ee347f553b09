"use strict";
const find = (id) => document.getElementById(id);
const table = find("classes-table");
const body = table.tBodies[0];
const headers = [...table.tHead.rows[0].cells];
const text = find("classes-text");
const kind = find("classes-kind");
const error = find("gallery-kind");
const label = find("gallery-class");
const cards = [...document.querySelectorAll(".card")];

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

const fits = (chip) =>
  (error.value === "" || error.value === "lowest" || chip.dataset.kind === error.value) &&
  (label.value === "" || chip.dataset.labels.split(" ").includes(label.value));

const filterCards = () => {
  const all = error.value === "" && label.value === "";
  let shown = 0;
  for (const card of cards) {
    const chips = [...card.querySelectorAll(".chips .chip")];
    const fitting = chips.filter(fits);
    const low = error.value !== "lowest" || "lowest" in card.dataset;
    card.hidden = !all && (!low || fitting.length === 0);
    chips.forEach((chip) => chip.classList.toggle("off", !all && !fitting.includes(chip)));
    shown += !card.hidden;
  }
  const more = all ? "" : ` of ${cards.length}`;
  find("gallery-count").value = `${shown}${more} images`;
};

const showClass = (wanted) => {
  error.value = "";
  label.value = wanted;
  filterCards();
  find("gallery").scrollIntoView();
  label.focus({ preventScroll: true });
};

const large = find("large");
let enlarged = null;

const enlarge = (image) => {
  enlarged = image;
  large.querySelector("img").src = image.src;
  find("large-name").textContent = image.alt;
  if (!large.open) large.showModal();
};

const step = (places) => {
  const images = [...enlarged.closest(".pictures").querySelectorAll("img")];
  enlarge(images[(images.indexOf(enlarged) + places + images.length) % images.length]);
};

headers.forEach((header, column) =>
  header.firstElementChild.addEventListener("click", () => sortBy(column)),
);
for (const each of [text, kind]) each.addEventListener("input", filterClasses);
for (const each of [error, label]) each.addEventListener("input", filterCards);
find("gallery-reset").addEventListener("click", () => {
  error.value = label.value = "";
  filterCards();
});
const classes = new Set([...label.options].map((option) => option.value));
for (const button of document.querySelectorAll(".to-images")) {
  button.disabled = !classes.has(button.dataset.label);
  button.addEventListener("click", () => showClass(button.dataset.label));
}
for (const button of document.querySelectorAll(".enlarge")) {
  button.addEventListener("click", () => enlarge(button.firstElementChild));
}
for (const button of large.querySelectorAll("[data-step]")) {
  button.addEventListener("click", () => step(Number(button.dataset.step)));
}
large.addEventListener("keydown", (event) => {
  const places = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (places) step(places);
});
document.querySelectorAll(".filters").forEach((filters) => (filters.hidden = false));
filterClasses();
filterCards();
