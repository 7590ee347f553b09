/** The stage: the views of one or two models, what the pointer and the arrows light, the divider. */

import { element, find, percent, plural, rgb } from "./words.js";
import { View } from "./view.js";

export const stage = find("stage");
export const views = [...stage.querySelectorAll(".view")].map((figure) => new View(figure));
export const shownViews = () => views.filter((view) => view.result && !view.figure.hidden);
export const divider = find("divider");

/** Keys of the classes that are switched off. */
export const hidden = new Set();

let pinned = false;
/** Position among the buttons of segments that the arrows step through. */
let at = -1;

const visible = (each) =>
  find(each.isthing ? "show-things" : "show-stuff").checked && !hidden.has(each.key);

export const describe = (each) => {
  const score = each.score == null ? "" : `score ${each.score.toFixed(2)}, `;
  return `${score}${percent(each.share)} of the photo, ${plural(each.area, "pixel", "pixels")}`;
};

/** Light segments, given as pairs of view and position, and name them at a point if there is one. */
export const point = (pairs, x, y) => {
  for (const view of views) {
    view.light(pairs.filter(([its]) => its === view).map(([, position]) => position));
  }
  for (const button of document.querySelectorAll(".pieces button")) {
    const [view, position] = [views[button.dataset.view], Number(button.dataset.position)];
    const single = pairs.length <= views.length;
    button.classList.toggle("lit", single && pairs.some((pair) => pair[0] === view && pair[1] === position));
  }
  const tip = find("tip");
  tip.hidden = x === undefined || pairs.length === 0;
  if (tip.hidden) return;
  tip.replaceChildren(...pairs.map(([view, position]) => tipLine(view, position)));
  const box = stage.getBoundingClientRect();
  const left = x - box.left + 18;
  const top = y - box.top + 18;
  const flip = left + tip.offsetWidth > box.width;
  const up = top + tip.offsetHeight > box.height;
  const shift = [
    Math.max(4, flip ? left - tip.offsetWidth - 36 : left),
    Math.max(4, up ? top - tip.offsetHeight - 36 : top),
  ];
  tip.style.transform = `translate(${shift[0]}px, ${shift[1]}px)`;
};

const tipLine = (view, position) => {
  const each = view.result.segments[position - 1];
  const dot = element("span", { className: `dot ${each.isthing ? "thing" : ""}` });
  dot.style.setProperty("--color", rgb(each.color));
  const model = shownViews().length > 1 ? `${view.result.model}: ` : "";
  const score = each.score == null ? "" : `score ${each.score.toFixed(2)} · `;
  return element(
    "div", {},
    element("b", {}, dot, `${model}${each.name}`),
    element("small", {}, `${score}${percent(each.share)} · ${plural(each.area, "pixel", "pixels")}`),
  );
};

export const release = () => {
  pinned = false;
  at = -1;
  point([]);
};

/** Light segments until something else is pointed at, unless some are pinned. */
export const touch = (pairs, x, y) => pinned || point(pairs, x, y);
export const leave = () => pinned || release();

/** Light segments until they are released. */
export const pin = (pairs, x, y) => {
  pinned = true;
  point(pairs, x, y);
};

export const isPinned = () => pinned;

/** Draw all maps again. */
export const redraw = () => {
  release();
  for (const view of views) view.draw(visible, find("show-outlines").checked);
};

/** Return the segment under a point in each view; in the swipe both lie under it, one is seen. */
const under = (x, y) => {
  const box = stage.getBoundingClientRect();
  let candidates = shownViews();
  if (stage.classList.contains("swipe") && candidates.length > 1) {
    const second = (x - box.left) / box.width > split() / 100;
    candidates = [candidates[second ? 1 : 0]];
  }
  if (!stage.classList.contains("side")) return hits(candidates, x, y);
  // The same place of the photo in both pictures.
  const here = candidates.find((view) => inside(view.layers.getBoundingClientRect(), x, y));
  if (!here) return [];
  const from = here.layers.getBoundingClientRect();
  return candidates.flatMap((view) => {
    const to = view.layers.getBoundingClientRect();
    return hits([view], x - from.left + to.left, y - from.top + to.top);
  });
};
const hits = (candidates, x, y) =>
  candidates
    .map((view) => [view, view.at(x, y)])
    .filter(([view, position]) => position && visible(view.result.segments[position - 1]));
const inside = (box, x, y) => x >= box.left && x < box.right && y >= box.top && y < box.bottom;

let frame = 0;
stage.addEventListener("pointermove", (event) => {
  if (event.pointerType === "touch" || event.target === divider) return;
  const { clientX: x, clientY: y } = event;
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(() => touch(under(x, y), x, y));
});
stage.addEventListener("pointerleave", () => {
  cancelAnimationFrame(frame);
  leave();
});
stage.addEventListener("click", (event) => {
  if (!event.target.closest(".layers")) return;
  const found = under(event.clientX, event.clientY);
  const same = found.length > 0 && found.every(([view, position]) => view.lit === String(position));
  if (!found.length || (pinned && same)) return release();
  pin(found, event.clientX, event.clientY);
  announce(found);
});
const announce = (pairs) => {
  find("status").textContent = pairs
    .map(([view, position]) => view.result.segments[position - 1])
    .map((each) => `${each.name}: ${describe(each)}`)
    .join("; ");
};

const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
stage.addEventListener("keydown", (event) => {
  if (event.target !== stage) return;
  if (event.key === "Escape") return release();
  const order = [...document.querySelectorAll(".pieces button")].filter((each) => !each.disabled);
  if (!(event.key in steps) || !order.length) return;
  event.preventDefault();
  const start = at < 0 && steps[event.key] < 0 ? 0 : at;
  at = (start + steps[event.key] + order.length) % order.length;
  const { view, position } = order[at].dataset;
  const pair = [views[view], Number(position)];
  point([pair], ...pair[0].pointOf(pair[1]));
  announce([pair]);
});

export const split = () => Number(divider.getAttribute("aria-valuenow"));
const splitAt = (value) => {
  const kept = Math.min(100, Math.max(0, value));
  divider.setAttribute("aria-valuenow", Math.round(kept));
  divider.setAttribute("aria-valuetext", `${Math.round(kept)} % of the first model`);
  stage.style.setProperty("--split", `${kept}%`);
};
divider.addEventListener("pointerdown", (event) => {
  divider.setPointerCapture(event.pointerId);
  release();
});
divider.addEventListener("pointermove", (event) => {
  if (!divider.hasPointerCapture(event.pointerId)) return;
  const box = stage.getBoundingClientRect();
  splitAt((100 * (event.clientX - box.left)) / box.width);
});
divider.addEventListener("keydown", (event) => {
  const [less, more] = [split() - 5, split() + 5];
  const to = { ArrowLeft: less, ArrowDown: less, ArrowRight: more, ArrowUp: more, Home: 0, End: 100 };
  if (!(event.key in to)) return;
  event.preventDefault();
  splitAt(to[event.key]);
});
