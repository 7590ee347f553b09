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
