/** The page: photos in, the panel beside the stage, downloads and the camera. */

import { read } from "./answers.js";
import { Refusal, address, ask, request } from "./requests.js";
import { describe, divider, hidden, isPinned, leave, pin, redraw, release, shownViews, split, stage, touch, views } from "./stage.js";
import { element, find, percent, plural, rgb, shortName, whole } from "./words.js";

const state = {
  models: [],
  photo: null, // {file, name, bitmap}
  opened: 0, // photos so far, so that one that is decoded late does not replace a later one
  abort: new AbortController(),
};

const segment = (model, query, options, onWait) => {
  const body = new FormData();
  body.append("image", state.photo.file, state.photo.name);
  return request(address("v1/panoptic", { model, ...query }), { method: "POST", body, ...options }, onWait);
};

// The panel

/** Return the classes in the shown views, things first, then by area. */
const classesFound = () => {
  const found = new Map();
  shownViews().forEach((view) => {
    view.result.segments.forEach((each, index) => {
      if (!found.has(each.key)) found.set(each.key, { ...each, pieces: [], area: 0 });
      found.get(each.key).pieces.push([view, index + 1]);
      found.get(each.key).area += each.share / shownViews().length;
    });
  });
  return [...found.values()].sort((one, other) => other.isthing - one.isthing || other.area - one.area);
};

const listClasses = () => {
  const found = classesFound();
  find("classes").replaceChildren(...found.map(classRow), ...shownViews().map(unnamed).filter(Boolean));
  find("classes").classList.toggle("comparing", shownViews().length > 1);
  const total = (isthing) =>
    shownViews().map((view) => view.result.segments.filter((each) => each.isthing === isthing).length).join(" | ");
  find("count-things").textContent = total(true);
  find("count-stuff").textContent = total(false);
};

/** Return a line that explains the hatched part of a map, if there is one. */
const unnamed = ({ result }) => {
  if (result.unnamed < 0.0005) return null;
  const model = shownViews().length > 1 ? `${result.model}: ` : "";
  const sentence = result.segments.length ? `${percent(result.unnamed)} has no class` : "nothing was found";
  const dot = element("span", { className: "dot hatched" });
  return element("li", { className: "unnamed" }, dot, `${model}${sentence}`);
};

const classRow = (entry) => {
  const box = element("input", { type: "checkbox", checked: !hidden.has(entry.key) });
  const dot = element("span", { className: `dot ${entry.isthing ? "thing" : ""}` });
  dot.style.setProperty("--color", rgb(entry.classColor));
  const counts = shownViews().map((view) => entry.pieces.filter(([its]) => its === view).length);
  const label = element(
    "label", {}, box, dot,
    element("span", { className: "name" }, entry.name),
    element("span", { className: "count" }, counts.join(" | ")),
  );
  const row = element("li", {}, label, ...shownViews().map((view) => pieces(view, entry)).filter(Boolean));
  row.style.setProperty("--part", Math.min(1, entry.area));
  const set = () => row.classList.toggle("off", !box.checked);
  box.addEventListener("change", () => {
    hidden[box.checked ? "delete" : "add"](entry.key);
    set();
    redraw();
  });
  label.addEventListener("pointerenter", () => box.checked && touch(entry.pieces));
  label.addEventListener("pointerleave", leave);
  set();
  return row;
};

/** Return a view's segments of a class as buttons that light them, or nothing if it has none. */
const pieces = (view, entry) => {
  const own = entry.pieces.filter(([its]) => its === view);
  if (!own.length) return null;
  const line = element("div", { className: "pieces" });
  if (shownViews().length > 1) line.append(element("small", {}, view.result.model));
  for (const [number, pair] of own.entries()) line.append(piece(pair, number + 1, own.length));
  return line;
};

const piece = (pair, number, count) => {
  const each = pair[0].result.segments[pair[1] - 1];
  const text = each.score == null ? percent(each.share) : each.score.toFixed(2);
  const button = element("button", { type: "button", textContent: text });
  button.setAttribute("aria-label", `${each.name}${count > 1 ? ` ${number}` : ""}: ${describe(each)}`);
  Object.assign(button.dataset, { view: views.indexOf(pair[0]), position: pair[1] });
  button.style.setProperty("--color", rgb(each.color));
  const place = () => [[pair], ...pair[0].pointOf(pair[1])];
  for (const kind of ["pointerenter", "focus"]) button.addEventListener(kind, () => touch(...place()));
  for (const kind of ["pointerleave", "blur"]) button.addEventListener(kind, leave);
  button.addEventListener("click", () => {
    const again = isPinned() && button.classList.contains("lit");
    if (again) release();
    else pin(...place());
  });
  return button;
};

for (const id of ["show-things", "show-stuff", "show-outlines"]) find(id).addEventListener("change", redraw);
find("opacity").addEventListener("input", ({ target }) => {
  find("opacity-value").textContent = `${target.value} %`;
  stage.style.setProperty("--opacity", target.value / 100);
});
const switchAll = (on) => {
  hidden.clear();
  if (!on) for (const entry of classesFound()) hidden.add(entry.key);
  listClasses();
  redraw();
};

// Photos

const open = async (file) => {
  if (!file) return;
  state.abort.abort();
  const turn = (state.opened += 1);
  const name = file.name || "pasted.png";
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" }).catch(() => null);
  if (turn !== state.opened) return;
  state.photo = { file, name, bitmap };
  find("empty").hidden = true;
  find("work").hidden = false;
  find("photo-name").textContent = name;
  document.title = `${name}: jsisnet`;
  find("facts").textContent = bitmap ? `${whole.format(bitmap.width)} × ${whole.format(bitmap.height)} pixels` : "";
  find("photo-name").scrollIntoView?.({ block: "nearest" });
  await run();
};

const chosen = () =>
  [find("model").value, find("other").value]
    .map((name) => state.models.find((model) => model.name === name))
    .filter(Boolean);

/** Segment the photo with the chosen models, once they are known, and show what they find. */
const run = async () => {
  if (!state.photo || !state.models.length) return;
  state.abort.abort();
  const { signal } = (state.abort = new AbortController());
  release();
  hidden.clear();
  const models = chosen();
  const { bitmap } = state.photo;
  prepare(models, bitmap ?? { width: 3, height: 2 });
  try {
    const results = await Promise.all(models.map((model) => answerOf(model, signal)));
    if (signal.aborted) return;
    results.forEach((result, index) => views[index].show(result, bitmap));
    redraw();
    present(results);
  } catch (error) {
    if (!signal.aborted) complain(error);
    // The answer of the other model is not waited for.
    if (signal === state.abort.signal) state.abort.abort();
  } finally {
    if (signal === state.abort.signal) busy(false);
  }
};

const answerOf = async (model, signal) => {
  const response = await segment(model.name, { as: "json", masks: "png" }, { signal }, (seconds) =>
    busy(true, `The server is busy. Trying again in ${seconds} s`));
  busy(true, `Segmenting with ${model.name}`);
  return read(await response.json(), model);
};

/** Show the photo alone while the models work. */
const prepare = (models, { width, height }) => {
  const two = models.length > 1;
  find("problem").hidden = true;
  stage.hidden = false;
  find("panel").hidden = true;
  find("keys").hidden = true;
  ratio(width, height);
  views.forEach((view, index) => {
    view.figure.hidden = index >= models.length;
    view.figure.querySelector("figcaption").textContent = two && models[index] ? models[index].name : "";
    view.clear(state.photo.bitmap, width, height);
  });
  find("arrangement").hidden = !two;
  arrange();
  busy(true, `Segmenting with ${models.map((model) => model.name).join(" and ")}`);
};

const ratio = (width, height) => stage.style.setProperty("--ratio", width / height);

const arrange = () => {
  const two = !find("arrangement").hidden;
  const side = document.querySelector("[name=arrangement]:checked").value === "side";
  stage.classList.toggle("side", two && side);
  stage.classList.toggle("swipe", two && !side);
  divider.hidden = !two || side;
  release();
};
find("arrangement").addEventListener("change", arrange);

const busy = (on, text = "") => {
  find("progress").hidden = !on;
  find("progress-text").textContent = text;
  stage.classList.toggle("busy", on);
  stage.setAttribute("aria-busy", on);
};

const present = (results) => {
  const [first] = results;
  ratio(first.width, first.height);
  const took = results.map((result) => {
    const seconds = result.seconds?.segmented;
    return seconds === undefined ? "" : `${results.length > 1 ? `${result.model} ` : ""}${seconds.toFixed(2)} s`;
  }).filter(Boolean).join(", ");
  const size = `${whole.format(first.width)} × ${whole.format(first.height)} pixels`;
  find("facts").textContent = [size, took, state.photo.bitmap ? "" : "this browser cannot show photos of this kind, only their maps"]
    .filter(Boolean).join(" · ");
  find("panel").hidden = false;
  find("keys").hidden = false;
  stage.setAttribute("aria-label", `Panoptic map of ${state.photo.name}`);
  listClasses();
  downloadsOf(results);
  find("status").textContent = results.map(summary).join(" ");
};

/** Return a sentence that says what a model found. */
const summary = (result) => {
  const counts = new Map();
  for (const each of result.segments) counts.set(each.name, [each.isthing, (counts.get(each.name)?.[1] ?? 0) + 1]);
  const named = [...counts].map(([name, [isthing, count]]) => (isthing ? `${count} ${name}` : name));
  const things = result.segments.filter((each) => each.isthing).length;
  const stuff = plural(result.segments.length - things, "kind of stuff", "kinds of stuff");
  if (!named.length) return `${result.model} found nothing.`;
  return `${result.model} found ${plural(things, "thing", "things")} and ${stuff}: ${named.join(", ")}.`;
};

const complain = (error) => {
  if (error instanceof Refusal) return tell(error.message, error.detail);
  console.error(error);
  return tell("This page could not show the answer of the server.", String(error.message ?? error));
};

/** Say in place of a result what went wrong. */
const tell = (sentence, detail = "") => {
  const box = find("problem");
  box.querySelector(".sentence").textContent = sentence;
  box.querySelector(".detail").textContent = detail;
  box.hidden = false;
  stage.hidden = !state.photo?.bitmap;
  if (!state.photo) find("photo-name").textContent = "No photo yet";
  find("empty").hidden = true;
  find("work").hidden = false;
};

// Downloads

const downloadsOf = (results) => {
  const field = find("download-of");
  field.hidden = results.length < 2;
  const legend = field.querySelector("legend");
  field.replaceChildren(legend, ...results.map((result, index) =>
    element("label", {}, element("input", { type: "radio", name: "of", value: result.model, checked: index === 0 }), element("span", {}, result.model))));
};

const stem = () => state.photo.name.replace(/\.[^.]*$/, "") || "photo";
const ENDINGS = { view: "_view.png", overlay: "_overlay.png", coco: "_panoptic.zip", labelme: ".json" };

const save = (blob, name) => {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
};

const download = async (button) => {
  const kind = button.dataset.save;
  const model = document.querySelector("[name=of]:checked").value;
  button.disabled = true;
  try {
    const blob = kind === "view" ? await snapshot() : await (await segment(model, { as: kind })).blob();
    save(blob, `${stem()}${ENDINGS[kind]}`);
    find("status").textContent = `Saved ${stem()}${ENDINGS[kind]}.`;
  } catch (error) {
    complain(error);
  } finally {
    button.disabled = false;
  }
};

/** Return a PNG of the pictures as they are shown. */
const snapshot = () => {
  const shown = shownViews();
  const side = stage.classList.contains("side");
  const { drawnWidth: width, drawnHeight: height } = shown[0].result;
  const canvas = element("canvas", { width: side ? 2 * width : width, height });
  const context = canvas.getContext("2d");
  shown.forEach((view, index) => {
    const cut = !side && index ? Math.round((width * split()) / 100) : 0;
    context.save();
    context.beginPath();
    context.rect((side ? index * width : 0) + cut, 0, width - cut, height);
    context.clip();
    view.canvases.slice(0, 3).forEach((layer, level) => {
      context.globalAlpha = level === 1 ? find("opacity").value / 100 : 1;
      context.drawImage(layer, side ? index * width : 0, 0, width, height);
    });
    context.restore();
  });
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
};

// The camera

const camera = async () => {
  const dialog = find("camera");
  if (matchMedia("(pointer: coarse)").matches || !navigator.mediaDevices) return find("capture").click();
  const video = dialog.querySelector("video");
  const sentence = dialog.querySelector(".sentence");
  const take = dialog.querySelector("[value=take]");
  sentence.textContent = "";
  take.disabled = true;
  const answer = ask(dialog);
  const stream = await navigator.mediaDevices
    .getUserMedia({ video: { facingMode: "environment", width: { ideal: 1920 } } })
    .catch((error) => {
      sentence.textContent = error.name === "NotAllowedError"
        ? "The browser does not let this page use the camera. Allow it in the address bar, then try again."
        : "No camera was found.";
      return null;
    });
  video.srcObject = stream;
  video.addEventListener("loadeddata", () => { take.disabled = false; }, { once: true });
  const taken = (await answer) === "take" && stream ? await still(video) : null;
  stream?.getTracks().forEach((track) => track.stop());
  video.srcObject = null;
  if (taken) await open(new File([taken], "camera.jpg", { type: "image/jpeg" }));
};

const still = (video) => {
  const canvas = element("canvas", { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95));
};

// What the buttons, the drop and the paste do

const actions = {
  choose: () => find("file").click(),
  camera,
  again: () => (state.photo ? run() : start()),
  cancel: () => {
    state.abort.abort();
    busy(false);
    tell("Cancelled.");
  },
  close: (button) => button.closest("dialog").close(),
  all: () => switchAll(true),
  none: () => switchAll(false),
};
document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.dataset.do) actions[button.dataset.do](button);
  if (button?.dataset.save) download(button);
});
for (const input of [find("file"), find("capture")]) {
  input.addEventListener("change", () => {
    open(input.files[0]);
    input.value = "";
  });
}
document.addEventListener("paste", (event) => {
  const [file] = event.clipboardData.files;
  if (file) open(file);
});
const dragging = (on) => document.documentElement.classList.toggle("dragging", on);
document.addEventListener("dragover", (event) => {
  if (!event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  dragging(true);
});
document.addEventListener("dragleave", (event) => event.relatedTarget || dragging(false));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  dragging(false);
  open(event.dataTransfer.files[0]);
});
for (const id of ["model", "other"]) find(id).addEventListener("change", () => { choices(); run(); });

// The models

const option = (value, text) => element("option", { value, textContent: text });

/** Offer as the second model all but the first. */
const choices = () => {
  const before = find("other").value;
  const others = state.models.map((model) => model.name).filter((name) => name !== find("model").value);
  find("other").replaceChildren(option("", "no other"), ...others.map((name) => option(name, name)));
  find("other").value = others.includes(before) ? before : "";
  find("other-field").hidden = others.length === 0;
  known();
};

/** List the classes that the chosen model knows. */
const known = () => {
  const model = state.models.find((each) => each.name === find("model").value);
  const things = model.categories.filter((each) => each.isthing).length;
  const stuff = model.categories.length - things;
  const box = find("known");
  box.hidden = false;
  box.open = model.categories.length <= 40;
  box.querySelector("summary").textContent =
    `${model.name} knows ${plural(things, "thing", "things")} and ${plural(stuff, "kind of stuff", "kinds of stuff")}`;
  const ordered = [...model.categories].sort((one, other) => other.isthing - one.isthing);
  box.querySelector("ul").replaceChildren(...ordered.map((each) => {
    const dot = element("span", { className: `dot ${each.isthing ? "thing" : ""}` });
    dot.style.setProperty("--color", rgb(each.color));
    return element("li", { title: (each.members ?? []).map(shortName).join(", ") }, dot, shortName(each.name));
  }));
};

const start = async () => {
  try {
    const { models } = await (await request(address("v1/models"))).json();
    state.models = models;
  } catch (error) {
    return complain(error);
  }
  find("problem").hidden = true;
  if (!state.photo) {
    find("work").hidden = true;
    find("empty").hidden = false;
  }
  find("model").replaceChildren(...state.models.map((model) => option(model.name, model.name)));
  find("model").value = (state.models.find((model) => model.default) ?? state.models[0]).name;
  find("models").hidden = false;
  choices();
  await run();
};
start();
