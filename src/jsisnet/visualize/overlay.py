"""Drawing panoptic maps over photos: colours, outlines and class names."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from jsisnet.arrays import Bool, Float, Int32, UInt8
from jsisnet.categories import Categories
from jsisnet.files.photos import check_image
from jsisnet.panoptic import VOID, PanopticMap
from jsisnet.visualize.palette import segment_colors, short_name

_GRID = 128
"""Cells along the longer side of the grid on which labels are placed."""

_LETTERS_PER_HEIGHT = 1.6
"""Letters that fit side by side in a letter's height."""

_MIN_INSIDE = 0.9
"""Fraction of a label's box that must lie inside its segment."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """Appearance of an overlay."""

    thing_opacity: float = 0.6
    """Opacity of things, 0 to 1."""

    stuff_opacity: float = 0.5
    """Opacity of stuff, 0 to 1."""

    outline: float = 1 / 320
    """Width of the outlines relative to the shorter side of the photo, at least one pixel; 0 for
    none."""

    names: bool = True
    """Whether to label segments with their class names."""

    text: float = 1 / 24
    """Height of the largest labels relative to the shorter side of the photo."""

    min_text: int = 11
    """Height of the smallest labels in pixels; segments too small for them get none."""


def draw(
    image: UInt8[np.ndarray, "h w 3"],
    panoptic: PanopticMap,
    categories: Categories,
    style: Style | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """Draw a panoptic map over its photo.

    Each segment gets the colour of its class, varied between instances, an outline and, where it
    fits, a label with its class and score. Void is grey and hatched.

    Raises:
        ValueError: If photo and map differ in size, the photo is not 8-bit RGB, or a segment has a
            label that no category has.
    """
    style = style or Style()
    check_image(image)
    if image.shape[:2] != panoptic.size:
        raise ValueError(
            f"the photo has {image.shape[1]} x {image.shape[0]} pixels, but the map has "
            f"{panoptic.size[1]} x {panoptic.size[0]}; expected the same size"
        )
    for segment in panoptic.segments:
        if segment.label >= len(categories):
            raise ValueError(
                f"a segment has label {segment.label}; expected a label of the "
                f"{len(categories)} categories, from 0"
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
    """Arrange pictures in rows on a white page, with a caption below each.

    All pictures are scaled to the width of the widest; a row is as high as its highest picture.

    Args:
        images: One picture or more.
        captions: One per picture; long ones are wrapped.
        columns: Pictures per row.
        text: Height of the captions relative to the width of a picture.

    Raises:
        ValueError: If there are no pictures, or not one caption per picture.
    """
    if len(images) != len(captions) or not images:
        raise ValueError(
            f"{len(images)} pictures and {len(captions)} captions; expected one caption per picture"
        )
    width = max(image.shape[1] for image in images)
    gap, size = max(4, width // 50), max(11, round(width * text))
    texts = [
        _wrapped(caption, max(1, round(_LETTERS_PER_HEIGHT * width / size))) for caption in captions
    ]
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


def _wrapped(caption: str, letters: int) -> str:
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
    """Return the photo in grey, with diagonal stripes."""
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
    """Label the segments, large ones first, without overlaps."""
    pen = ImageDraw.Draw(canvas)
    largest = max(style.min_text, round(min(panoptic.size) * style.text))
    smaller = [round(part * largest) for part in (0.8, 0.65)]
    sizes = [largest, *(size for size in smaller if style.min_text <= size < largest)]
    fonts = {size: ImageFont.load_default(size) for size in sizes}
    labels = _Labels(panoptic.ids)
    for index in np.argsort(-panoptic.areas(), kind="stable").tolist():
        segment = panoptic.segments[index]
        text = short_name(categories[segment.label])
        if segment.score is not None:
            text += f" {segment.score:.0%}"
        for size, font in fonts.items():
            centre = labels.reserve(index + 1, 1.1 * size, pen.textlength(text, font) + 0.5 * size)
            if centre is not None:
                halo = tuple((colors[index] * 0.3).astype(int).tolist())
                edge = max(1, round(size / 8))
                pen.text(centre, text, "white", font, "mm", stroke_width=edge, stroke_fill=halo)
                break


class _Labels:
    """Places boxes of text inside segments, on a coarse grid of the map."""

    def __init__(self, ids: Int32[np.ndarray, "h w"]) -> None:
        self._step = -(-max(ids.shape) // _GRID)
        grid = ids[self._step // 2 :: self._step, self._step // 2 :: self._step]
        self._ids = np.pad(grid, 1, constant_values=VOID)
        self._taken = np.pad(np.zeros(grid.shape, bool), 1, constant_values=True)

    def reserve(self, number: int, height: float, width: float) -> tuple[float, float] | None:
        """Reserve the roomiest place for a box in a segment.

        Returns:
            Its centre, x and y in pixels, or ``None`` if the box does not fit.
        """
        inside = self._ids == number
        height, width = height / self._step, width / self._step
        if inside.sum() < _MIN_INSIDE * height * width:
            return None
        fits = (_coverage(inside, height, width) >= _MIN_INSIDE) & (
            _coverage(self._taken, height, width) == 0
        )
        if not fits.any():
            return None
        room = sum(
            _coverage(inside, height + margin, width + margin) for margin in (2, 4, 8, 16, 32, 64)
        )
        row, column = np.unravel_index(np.where(fits, room, -1).argmax(), fits.shape)
        rows = slice(max(0, math.floor(row - height / 2)), math.ceil(row + height / 2) + 1)
        columns = slice(max(0, math.floor(column - width / 2)), math.ceil(column + width / 2) + 1)
        self._taken[rows, columns] = True
        return (float(column) - 0.5) * self._step, (float(row) - 0.5) * self._step


def _coverage(
    region: Bool[np.ndarray, "h w"], height: float, width: float
) -> Float[np.ndarray, "h w"]:
    """Return the fraction of the box around each cell that lies in the region."""
    radii = max(0, (width - 1) / 2), max(0, (height - 1) / 2)
    blurred = Image.fromarray(region.astype(np.uint8) * 255).filter(ImageFilter.BoxBlur(radii))
    return np.asarray(blurred) / 255
