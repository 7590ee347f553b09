const error = find("gallery-kind");
const label = find("gallery-class");
const cards = [...document.querySelectorAll(".card")];

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
filterCards();
