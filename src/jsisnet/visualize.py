"""Pictures of panoptic maps: colours, outlines and names drawn over the photo."""

import colorsys
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Bool, Float, Int, Int32, UInt8
from PIL import Image, ImageDraw, ImageFont

from jsisnet.categories import Categories
from jsisnet.panoptic import VOID, PanopticMap, Segment

Color = tuple[int, int, int]

_GOLDEN = 0.618034
"""Multiples of it, modulo 1, are spread evenly however many there are."""

_GRID = 128
"""Cells along the longer side of the grid on which places for names are sought."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """Looks of the pictures of `draw`."""

    opacity: float = 0.55
    """Share of the colour over the photo, 0 to 1."""

    outline: float = 1 / 320
    """Width of the outlines, as a part of the photo's shorter side; at least one pixel."""

    text: float = 1 / 26
    """Height of the largest names, as a part of the photo's shorter side."""

    min_text: int = 10
    """Height in pixels of the smallest names; segments without room for them stay nameless."""


def draw(
    image: UInt8[np.ndarray, "h w 3"],
    panoptic: PanopticMap,
    categories: Categories,
    *,
    style: Style | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """Draw a panoptic map over its photo.

    Each segment has its class's colour, varied from instance to instance, an outline, and its name
    where there is room, with the score of predicted things. Void pixels are grey and hatched.

    Raises:
        ValueError: If photo and map differ in size.
    """
    style = style or Style()
    if image.shape[:2] != panoptic.size:
        raise ValueError(f"the photo is {image.shape[:2]} and the map {panoptic.size}; expected one size")
    if not image.size:
        return image.copy()
    colors = segment_colors(panoptic, categories)
    picture = _blend(image, panoptic.ids, colors, style.opacity)
    _outline(picture, panoptic.ids, max(1, round(min(panoptic.size) * style.outline)))
    canvas = Image.fromarray(picture)
    _write_names(canvas, panoptic, categories, colors, style)
    return np.asarray(canvas).copy()


def segment_colors(panoptic: PanopticMap, categories: Categories) -> UInt8[np.ndarray, "n 3"]:
    """Give each segment its class's colour; instances of one class get variations of it.

    The first instance of a class has the very colour of the class.
    """
    seen: dict[int, int] = {}
    colors = np.zeros((len(panoptic.segments), 3), np.uint8)
    for row, segment in zip(colors, panoptic.segments, strict=True):
        color = categories[segment.label].color or default_color(segment.label)
        count = seen.get(segment.label, 0)
        seen[segment.label] = count + 1
        row[:] = _vary(color, count) if segment.isthing else color
    return colors


@cache
def default_color(label: int) -> Color:
    """Give a class without a colour one that differs from those of the labels around it."""
    hue = label * _GOLDEN % 1
    lightness = (0.5, 0.64, 0.4)[label % 3]
    return _rgb(hue, lightness, 0.75 - 0.2 * (label % 2))


def _vary(color: Color, count: int) -> Color:
    if count == 0:
        return color
    hue, lightness, saturation = colorsys.rgb_to_hls(*(c / 255 for c in color))
    hue += 0.16 * (count * _GOLDEN % 1 - 0.5)
    lightness = min(max(lightness, 0.35), 0.65) + 0.36 * (count * 0.754878 % 1 - 0.5)
    return _rgb(hue % 1, lightness, max(saturation, 0.45))


def _rgb(hue: float, lightness: float, saturation: float) -> Color:
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, saturation)
    return round(red * 255), round(green * 255), round(blue * 255)


def _blend(
    image: UInt8[np.ndarray, "h w 3"],
    ids: Int32[np.ndarray, "h w"],
    colors: UInt8[np.ndarray, "n 3"],
    opacity: float,
) -> UInt8[np.ndarray, "h w 3"]:
    share = round(256 * opacity)
    table = np.concatenate([np.full((1, 3), 128, np.uint16), colors.astype(np.uint16)]) * share
    picture = ((image * np.uint16(256 - share) + table[ids]) >> 8).astype(np.uint8)
    void = ids == VOID
    if void.any():
        picture[void] = _hatched(image)[void]
    return picture


def _hatched(image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    height, width = image.shape[:2]
    period = max(4, min(height, width) // 40)
    diagonal = np.add.outer(np.arange(height), np.arange(width))
    light = np.where(diagonal % period < period / 3, 150, 90).astype(np.uint16)
    grey = image.mean(axis=2, dtype=np.float32).astype(np.uint16)
    return np.repeat(((grey + 2 * light) // 3).astype(np.uint8)[..., None], 3, axis=2)


def _outline(
    picture: UInt8[np.ndarray, "h w 3"], ids: Int32[np.ndarray, "h w"], thickness: int
) -> None:
    """Paint the border between segments white, in place."""
    border = np.zeros(ids.shape, bool)
    height, width = ids.shape
    for step in range(1, thickness + 1):
        start = step // 2
        border[start : start + height - step] |= ids[step:] != ids[:-step]
        border[:, start : start + width - step] |= ids[:, step:] != ids[:, :-step]
    picture[border] = 255


def _write_names(
    canvas: Image.Image,
    panoptic: PanopticMap,
    categories: Categories,
    colors: UInt8[np.ndarray, "n 3"],
    style: Style,
) -> None:
    """Write each segment's name into it, large segments first, no two over each other."""
    pen = ImageDraw.Draw(canvas)
    largest = round(min(panoptic.size) * style.text)
    sizes = [round(largest * factor) for factor in (1, 0.8, 0.64)]
    sizes = [size for size in sizes if size >= style.min_text]
    places = _Places(panoptic.ids)
    for index in np.argsort(-panoptic.areas(), kind="stable"):
        text = _caption(panoptic.segments[index], categories)
        for size in sizes:
            font = ImageFont.load_default(size)
            left, top, right, bottom = pen.textbbox((0, 0), text, font=font, anchor="mm")
            place = places.take(int(index) + 1, right - left + size * 0.5, bottom - top + size * 0.4)
            if place is not None:
                _write(pen, place, text, font, colors[index])
                break


def _write(pen, place, text, font, color):
    pen.text(place, text, font=font, anchor="mm", fill=(255, 255, 255), stroke_width=max(1, round(font.size / 9)), stroke_fill=tuple(int(c * 0.35) for c in color))


def _caption(segment: Segment, categories: Categories) -> str:
    name = re.sub(r"(-(other|merged|stuff))+$", "", categories[segment.label].name)
    return name if segment.score is None else f"{name} {segment.score:.0%}"


class _Places:
    """Finds room for boxes of text in segments, on a coarse grid of the map."""

    def __init__(self, ids: Int32[np.ndarray, "h w"]) -> None:
        self.step = max(1, -(-max(ids.shape) // _GRID))
        self.ids = ids[self.step // 2 :: self.step, self.step // 2 :: self.step]
        self.taken: list[tuple[float, float, float, float]] = []

    def take(self, number: int, width: float, height: float) -> tuple[float, float] | None:
        """Reserve the roomiest box for a segment; give its centre in pixels of the photo."""
        half_width, half_height = width / self.step / 2, height / self.step / 2
        rows, columns = self.ids.shape
        inside = self.ids == number
        room = _coverage(inside, half_height, half_width)
        if room.size == 0: return None
        fits = room >= 0.85
        fits &= inside
        y, x = np.arange(rows)[:, None] + 0.5, np.arange(columns) + 0.5
        fits &= (y >= half_height) & (y <= rows - half_height) & (x >= half_width) & (x <= columns - half_width)
        for cy, cx, hh, hw in self.taken:
            fits &= (abs(y - cy) >= hh + half_height) | (abs(x - cx) >= hw + half_width)
        if not fits.any():
            return None
        for margin in (1, 2, 4, 8, 16):
            room = room + _coverage(inside, half_height + margin, half_width + margin)
        row, column = np.unravel_index(np.where(fits, room, -1).argmax(), room.shape)
        self.taken.append((row + 0.5, column + 0.5, half_height, half_width))
        return (column + 0.5) * self.step, (row + 0.5) * self.step


def _coverage(
    inside: Bool[np.ndarray, "h w"], half_height: float, half_width: float
) -> Float[np.ndarray, "h w"]:
    """Give the part of the box around each cell that lies inside."""
    height, width = inside.shape
    total = np.zeros((height + 1, width + 1), np.int32)
    total[1:, 1:] = inside.cumsum(0, dtype=np.int32).cumsum(1)
    y, x = np.arange(height) + 0.5, np.arange(width) + 0.5
    top = np.clip(np.round(y - half_height), 0, height).astype(int)
    bottom = np.clip(np.round(y + half_height), 0, height).astype(int)
    left = np.clip(np.round(x - half_width), 0, width).astype(int)
    right = np.clip(np.round(x + half_width), 0, width).astype(int)
    rows = total[bottom] - total[top]
    count = rows[:, right] - rows[:, left]
    return count / (4 * half_height * half_width)
