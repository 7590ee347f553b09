/** A model's answer: its segments, and the map decoded to their positions. */

import { element, shortName } from "./words.js";

/** Longest side in pixels at which photos and maps are drawn; larger ones are reduced. */
const LONGEST = 2048;

/** Return the size at which a photo is drawn. */
export const drawnSize = (width, height) => {
  const scale = Math.min(1, LONGEST / Math.max(width, height));
  return [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
};

/** Decode a PNG of ids to the exact bytes that it holds, reduced to the nearest pixels. */
const decodeMap = async (dataUrl, width, height) => {
  const bytes = Uint8Array.from(atob(dataUrl.split(",")[1]), (letter) => letter.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }), {
    colorSpaceConversion: "none",
    premultiplyAlpha: "none",
  });
  const canvas = element("canvas", { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingEnabled = false;
  context.drawImage(bitmap, 0, 0, width, height);
  return context.getImageData(0, 0, width, height).data;
};

/** Return for each pixel the position of its segment in the list, from 1 on; 0 is void. */
const positions = (rgba, segments) => {
  const position = new Map(segments.map((each, index) => [each.id, index + 1]));
  const found = new Uint16Array(rgba.length / 4);
  let last = 0;
  let its = 0;
  for (let pixel = 0; pixel < found.length; pixel += 1) {
    const at = 4 * pixel;
    const id = rgba[at] + 256 * rgba[at + 1] + 65536 * rgba[at + 2];
    if (id !== last) {
      last = id;
      its = position.get(id) ?? 0;
    }
    found[pixel] = its;
  }
  return found;
};

/** Mark the pixels within `reach` of a border between segments. */
const borders = (map, width, height, reach) => {
  const thin = new Uint8Array(map.length);
  for (let at = 0; at < map.length; at += 1) {
    if ((at + 1) % width && map[at] !== map[at + 1]) thin[at] = thin[at + 1] = 1;
    if (at + width < map.length && map[at] !== map[at + width]) thin[at] = thin[at + width] = 1;
  }
  return reach ? widened(widened(thin, width, height, reach, 1), width, height, reach, width) : thin;
};

/** Widen marks by `reach` pixels in steps of `step`: 1 along rows, the width along columns. */
const widened = (marks, width, height, reach, step) => {
  const wide = marks.slice();
  const [along, across, next] = step === 1 ? [width, height, width] : [height, width, 1];
  for (let line = 0; line < across; line += 1) {
    for (let place = 0; place < along; place += 1) {
      const at = line * next + place * step;
      if (!marks[at]) continue;
      const from = Math.max(0, place - reach);
      const to = Math.min(along - 1, place + reach);
      for (let other = from; other <= to; other += 1) wide[line * next + other * step] = 1;
    }
  }
  return wide;
};

/** Turn a model's answer into what the views draw: segments, and their positions by pixel. */
export const read = async (answer, model) => {
  const { width, height } = answer.image;
  const [drawnWidth, drawnHeight] = drawnSize(width, height);
  const categories = new Map(model.categories.map((each) => [each.id, each]));
  const segments = answer.segments.map((each) => {
    const name = shortName(each.name);
    const classColor = categories.get(each.category_id)?.color ?? [128, 128, 128];
    const color = each.color ?? classColor;
    const share = each.area / Math.max(1, width * height);
    return { ...each, name, color, classColor, share, key: `${each.isthing ? "thing" : "stuff"} ${name}` };
  });
  const map = positions(await decodeMap(answer.map, drawnWidth, drawnHeight), segments);
  const line = Math.max(1, Math.min(drawnWidth, drawnHeight) / 320);
  const edges = borders(map, drawnWidth, drawnHeight, Math.max(0, Math.round(line / 2) - 1));
  return {
    model: model.name, unnamed: 1 - segments.reduce((sum, each) => sum + each.share, 0), width, height, drawnWidth, drawnHeight, segments, map, edges,
    seconds: answer.seconds,
  };
};
