"""Pictures of panoptic maps: colours, outlines and names drawn over the photo."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from jsisnet.arrays import Bool, Float, Int32, UInt8
from jsisnet.categories import Categories
from jsisnet.panoptic import VOID, PanopticMap
from jsisnet.visualize.palette import segment_colors, short_name

_GRID = 128
"""Cells along the longer side of the grid on which places for names are sought."""

_LETTERS = 1.6
"""Letters of a caption in the width of its height."""

_MIN_INSIDE = 0.9
"""Part of a name's box that must lie inside its segment."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """Looks of the pictures of `draw`."""

    thing_opacity: float = 0.6
    """Share of the colour of things over the photo, 0 to 1."""

    stuff_opacity: float = 0.5
    """Share of the colour of stuff over the photo, 0 to 1."""

    outline: float = 1 / 320
    """Width of the outlines, as a part of the photo's shorter side; at least one pixel, 0 for
    none."""

    names: bool = True
    """Whether to write names."""

    text: float = 1 / 24
    """Height of the largest names, as a part of the photo's shorter side."""

    min_text: int = 11
    """Height in pixels of the smallest names; segments without room for them stay nameless."""


def draw(
    image: UInt8[np.ndarray, "h w 3"],
    panoptic: PanopticMap,
    categories: Categories,
    style: Style | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """Draw a panoptic map over its photo.

    Each segment has its class's colour, varied from instance to instance, an outline, and its name
    where there is room, with the score of predicted things. Void is grey and hatched.

    Raises:
        ValueError: If photo and map differ in size.
    """
    style = style or Style()
    if image.shape[:2] != panoptic.size:
        raise ValueError(
            f"a photo of {image.shape[1]} x {image.shape[0]} pixels and a map of "
            f"{panoptic.size[1]} x {panoptic.size[0]}; expected one size"
        )
    if image.size == 0:
        return image.copy()
    colors = segment_colors(panoptic, categories)
    picture = _blend(image, panoptic, colors, style)
    if style.outline > 0:
        _outline(picture, panoptic.ids, max(1, round(min(panoptic.size) * style.outline)))
    canvas = Image.fromarray(picture)
    if style.names:
        _write_names(canvas, panoptic, categories, colors, style)
    return np.array(canvas)


def side_by_side(
    images: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    captions: Sequence[str],
    *,
    columns: int = 3,
    text: float = 1 / 28,
) -> UInt8[np.ndarray, "h w 3"]:
    """Lay pictures out on a white page, row by row, each with its caption below.

    All get the width of the widest; each row is as high as its highest picture.

    Args:
        images: At least one.
        captions: One for each picture; long ones are broken into lines.
        columns: Pictures in a row.
        text: Height of the captions' letters, as a part of the pictures' width.

    Raises:
        ValueError: If there is not one caption per picture, or no picture at all.
    """
    if len(images) != len(captions) or not images:
        raise ValueError(f"{len(images)} pictures and {len(captions)} captions; expected one each")
    width = max(image.shape[1] for image in images)
    gap, size = max(4, width // 50), max(11, round(width * text))
    texts = [_broken(caption, max(1, round(_LETTERS * width / size))) for caption in captions]
    pictures = [Image.fromarray(image) for image in images]
    pictures = [p.resize((width, max(1, p.height * width // p.width))) for p in pictures]
    rows = [slice(first, first + columns) for first in range(0, len(images), columns)]
    below = [round((0.6 + 1.4 * max(t.count("\n") + 1 for t in texts[row])) * size) for row in rows]
    heights = [max(picture.height for picture in pictures[row]) for row in rows]
    across = min(columns, len(images))
    page = Image.new(
        "RGB", (gap + across * (width + gap), gap + sum(heights) + sum(below)), "white"
    )
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(size)
    top = gap
    for row, height, room in zip(rows, heights, below, strict=True):
        top += height
        for column, (picture, lines) in enumerate(zip(pictures[row], texts[row], strict=True)):
            left = gap + column * (width + gap)
            page.paste(picture, (left, top - picture.height))
            centre = (left + width / 2, top + room / 2)
            pen.text(centre, lines, "black", font, "mm", spacing=0.4 * size, align="center")
        top += room
    return np.array(page)


def _broken(caption: str, letters: int) -> str:
    return "\n".join(line for part in caption.split("\n") for line in wrap(part, letters))


def _blend(
    image: UInt8[np.ndarray, "h w 3"],
    panoptic: PanopticMap,
    colors: UInt8[np.ndarray, "segments 3"],
    style: Style,
) -> UInt8[np.ndarray, "h w 3"]:
    opacities = [
        style.thing_opacity if segment.isthing else style.stuff_opacity
        for segment in panoptic.segments
    ]
    shares = np.rint(256 * np.array([0.0, *opacities])).astype(np.uint16)[:, None]
    paint = np.pad(colors, ((1, 0), (0, 0))) * shares
    picture = ((image * (256 - shares)[panoptic.ids] + paint[panoptic.ids]) >> 8).astype(np.uint8)
    void = panoptic.ids == VOID
    if void.any():
        picture[void] = _hatched(image)[void]
    return picture


def _hatched(image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 1"]:
    """Make the photo grey, with diagonal stripes."""
    height, width = image.shape[:2]
    period = max(4, min(height, width) // 40)
    stripes = np.add.outer(np.arange(height), np.arange(width)) % period < period / 3
    grey = image.mean(axis=2) / 3 + np.where(stripes, 100, 60)
    return grey.astype(np.uint8)[..., None]


def _outline(
    picture: UInt8[np.ndarray, "h w 3"], ids: Int32[np.ndarray, "h w"], thickness: int
) -> None:
    """Paint the borders between segments white, in place."""
    height, width = ids.shape
    border = np.zeros(ids.shape, bool)
    for step in range(1, thickness + 1):
        start = step // 2
        border[start : start + height - step] |= ids[step:] != ids[:-step]
        border[:, start : start + width - step] |= ids[:, step:] != ids[:, :-step]
    picture[border] = 255


def _write_names(
    canvas: Image.Image,
    panoptic: PanopticMap,
    categories: Categories,
    colors: UInt8[np.ndarray, "segments 3"],
    style: Style,
) -> None:
    """Write each segment's name into it, large segments first, no two over each other."""
    pen = ImageDraw.Draw(canvas)
    largest = max(style.min_text, round(min(panoptic.size) * style.text))
    smaller = [round(part * largest) for part in (0.8, 0.65)]
    sizes = [largest, *(size for size in smaller if style.min_text <= size < largest)]
    fonts = {size: ImageFont.load_default(size) for size in sizes}
    room = _Room(panoptic.ids)
    for index in np.argsort(-panoptic.areas(), kind="stable").tolist():
        segment = panoptic.segments[index]
        text = short_name(categories[segment.label])
        if segment.score is not None:
            text += f" {segment.score:.0%}"
        for size, font in fonts.items():
            centre = room.take(index + 1, 1.1 * size, pen.textlength(text, font) + 0.5 * size)
            if centre is not None:
                halo = tuple((colors[index] * 0.3).astype(int).tolist())
                edge = max(1, round(size / 8))
                pen.text(centre, text, "white", font, "mm", stroke_width=edge, stroke_fill=halo)
                break


class _Room:
    """Finds places for boxes of text inside segments, on a coarse grid of the map."""

    def __init__(self, ids: Int32[np.ndarray, "h w"]) -> None:
        self._step = -(-max(ids.shape) // _GRID)
        grid = ids[self._step // 2 :: self._step, self._step // 2 :: self._step]
        self._ids = np.pad(grid, 1, constant_values=VOID)
        self._taken = np.pad(np.zeros(grid.shape, bool), 1, constant_values=True)

    def take(self, number: int, height: float, width: float) -> tuple[float, float] | None:
        """Reserve the roomiest place for a box in a segment; give its centre, x and y in pixels."""
        inside = self._ids == number
        height, width = height / self._step, width / self._step
        if inside.sum() < _MIN_INSIDE * height * width:
            return None
        fits = (_part(inside, height, width) >= _MIN_INSIDE) & (
            _part(self._taken, height, width) == 0
        )
        if not fits.any():
            return None
        room = sum(
            _part(inside, height + margin, width + margin) for margin in (2, 4, 8, 16, 32, 64)
        )
        row, column = np.unravel_index(np.where(fits, room, -1).argmax(), fits.shape)
        rows = slice(max(0, math.floor(row - height / 2)), math.ceil(row + height / 2) + 1)
        columns = slice(max(0, math.floor(column - width / 2)), math.ceil(column + width / 2) + 1)
        self._taken[rows, columns] = True
        return (float(column) - 0.5) * self._step, (float(row) - 0.5) * self._step


def _part(region: Bool[np.ndarray, "h w"], height: float, width: float) -> Float[np.ndarray, "h w"]:
    """Give the part of the box around each cell that lies in the region."""
    radii = max(0, (width - 1) / 2), max(0, (height - 1) / 2)
    blurred = Image.fromarray(region.astype(np.uint8) * 255).filter(ImageFilter.BoxBlur(radii))
    return np.asarray(blurred) / 255
