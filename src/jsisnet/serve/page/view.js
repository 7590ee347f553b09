/** A photo with a panoptic map over it, drawn on canvases. */

import { drawnSize } from "./answers.js";

/** Opacity of stuff relative to that of things, as in the overlays of the library. */
const STUFF = 0.85;

/** Return a colour as one number in the order in which a canvas stores it. */
const packed = ([red, green, blue], alpha) =>
  ((Math.round(alpha) << 24) | (blue << 16) | (green << 8) | red) >>> 0;

/** Return a lighter shade of a dark colour, and a darker one of a light colour. */
const shade = (color) => {
  const [red, green, blue] = color;
  const dark = 0.3 * red + 0.59 * green + 0.11 * blue < 140;
  return color.map((value) => Math.round(dark ? value + 0.6 * (255 - value) : 0.45 * value));
};

/** A photo with the map of one model on four canvases: photo, fill, outlines and light. */
export class View {
  constructor(figure) {
    this.figure = figure;
    this.layers = figure.querySelector(".layers");
    this.canvases = [...figure.querySelectorAll("canvas")];
    this.result = null;
    this.lit = "";
  }

  /** Show a photo without a map. */
  clear(bitmap, width, height) {
    this.result = null;
    this.light([]);
    const [drawnWidth, drawnHeight] = drawnSize(width, height);
    for (const canvas of this.canvases) Object.assign(canvas, { width: drawnWidth, height: drawnHeight });
    if (bitmap) this.canvases[0].getContext("2d").drawImage(bitmap, 0, 0, drawnWidth, drawnHeight);
  }

  show(result, bitmap) {
    this.clear(bitmap, result.width, result.height);
    this.result = result;
  }

  /** Draw the segments for which `visible` holds, with or without their outlines. */
  draw(visible, outlines) {
    if (!this.result) return;
    const { segments, map, edges, drawnWidth, drawnHeight } = this.result;
    const fills = new Uint32Array(segments.length + 1);
    const lines = new Uint32Array(segments.length + 1);
    segments.forEach((each, index) => {
      if (!visible(each)) return;
      fills[index + 1] = packed(each.color, each.isthing ? 255 : 255 * STUFF);
      lines[index + 1] = packed(shade(each.color), 235);
    });
    const period = Math.max(4, Math.floor(Math.min(drawnWidth, drawnHeight) / 40));
    this.put(1, (at) => {
      if (map[at]) return fills[map[at]];
      const diagonal = (at % drawnWidth) + Math.floor(at / drawnWidth);
      return diagonal % period < period / 3 ? 0x99a0a0a0 : 0x66606060;
    });
    this.put(2, (at) => (outlines && edges[at] ? lines[map[at]] : 0));
  }

  /** Fill a canvas with the packed colour that a function returns for each pixel. */
  put(index, color) {
    const { drawnWidth, drawnHeight } = this.result;
    const image = new ImageData(drawnWidth, drawnHeight);
    const pixels = new Uint32Array(image.data.buffer);
    for (let at = 0; at < pixels.length; at += 1) pixels[at] = color(at);
    this.canvases[index].getContext("2d").putImageData(image, 0, 0);
  }

  /** Light some segments by darkening all others; none of them lifts the darkness. */
  light(chosen) {
    const wanted = chosen.join(" ");
    if (wanted === this.lit) return;
    this.lit = wanted;
    this.figure.classList.toggle("lit", chosen.length > 0);
    if (!chosen.length || !this.result) return;
    const { segments, map, edges } = this.result;
    const bright = new Uint8Array(segments.length + 1);
    for (const position of chosen) bright[position] = 1;
    this.put(3, (at) => (bright[map[at]] ? (edges[at] ? 0xf2ffffff : 0) : 0x9916120e));
  }

  /** Return the position of the segment at a point of the screen; 0 where there is none. */
  at(x, y) {
    if (!this.result) return 0;
    const box = this.layers.getBoundingClientRect();
    const { drawnWidth, drawnHeight, map } = this.result;
    const column = Math.floor(((x - box.left) / box.width) * drawnWidth);
    const row = Math.floor(((y - box.top) / box.height) * drawnHeight);
    const inside = column >= 0 && row >= 0 && column < drawnWidth && row < drawnHeight;
    return inside ? map[row * drawnWidth + column] : 0;
  }

  /** Return the point of the screen inside a segment that is closest to the middle of its box. */
  pointOf(position) {
    const { map, drawnWidth, drawnHeight, width, height, segments } = this.result;
    const [x0, y0, x1, y1] = segments[position - 1].box;
    const middle = [((x0 + x1) / 2 / width) * drawnWidth, ((y0 + y1) / 2 / height) * drawnHeight];
    let best = Infinity;
    let point = middle;
    for (let at = map.indexOf(position); at >= 0 && at < map.length; at += 1) {
      if (map[at] !== position) continue;
      const [x, y] = [at % drawnWidth, Math.floor(at / drawnWidth)];
      const distance = (x - middle[0]) ** 2 + (y - middle[1]) ** 2;
      if (distance < best) [best, point] = [distance, [x + 0.5, y + 0.5]];
    }
    const box = this.layers.getBoundingClientRect();
    return [
      box.left + (point[0] / drawnWidth) * box.width,
      box.top + (point[1] / drawnHeight) * box.height,
    ];
  }
}
