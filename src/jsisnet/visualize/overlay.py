"""Drawing panoptic maps over photos: colours, outlines and class names."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from textwrap import wrap

import numpy as np
from PIL import Image, ImageDraw

from jsisnet.arrays import Float, Int32, Integer, UInt8
from jsisnet.categories import UNKNOWN, Categories
from jsisnet.files.photos import check_image
from jsisnet.files.pixels import blend
from jsisnet.panoptic import VOID, PanopticMap, resize_ids, row_strips
from jsisnet.visualize import borders
from jsisnet.visualize.fonts import font_for, writable
from jsisnet.visualize.names import Name, legend, write_names
from jsisnet.visualize.oklab import from_oklch, to_oklch
from jsisnet.visualize.palette import Color, segment_colors, short_name

_LETTERS_PER_HEIGHT = 1.6
"""Letters that fit side by side in a letter's height."""

_FRAGMENT = 1 / 8000
"""Area of connected parts of segments, relative to the photo, below which they have no outline."""

_LINE = 3
"""Width in pixels of the outlines on the reduced map that those of large photos are drawn on."""

_SKETCH = 1 << 21
"""Most pixels of the reduced map."""

_LEVELS = 16
"""Steps between a pixel without an outline and one that it covers."""

_STRIP = 1 << 14
"""Pixels that are painted at a time; more would not fit in the processor's cache."""

_MIDDLE, _SHADE = 0.64, 0.16
"""Lightness in Oklab of a colour that is neither light nor dark, and how much lighter or darker
than it, and than the segment's colour, an outline is."""

_DARK = 110
"""Mean brightness up to which a painted segment is dark, so that its outline is light."""

_GRID = 160
"""Cells along the longer side of the grid on which the brightness is measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """Appearance of an overlay."""

    opacity: float = 0.4
    """Opacity of things, 0 to 1."""

    stuff: float = 0.85
    """Opacity of stuff relative to that of things, 0 to 1."""

    outline: float = 1 / 320
    """Width of the outlines relative to the shorter side of the photo, at least one pixel; 0 for
    none."""

    names: bool = True
    """Whether to label segments with their class names."""

    scores: bool = True
    """Whether the labels of things have their scores."""

    text: float = 1 / 30
    """Height of the largest labels relative to the shorter side of the photo."""

    min_text: int = 11
    """Height of the smallest labels in pixels; segments too small for them get none."""

    legend: bool = False
    """Whether to add a strip below the photo that explains the colours of segments without label.
    The picture is then higher than the photo, unless every segment has one."""

    only: tuple[str, ...] | None = None
    """Names of the classes to draw; the rest of the photo stays as it is. ``None`` for all."""

    def __post_init__(self) -> None:
        for name in ("opacity", "stuff"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected 0 to 1")
        for name in ("outline", "text"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; expected 0 or more")

    def labels(self, categories: Categories) -> set[int]:
        """Return the labels of the classes that are drawn.

        Raises:
            ValueError: If there is no class of a name.
        """
        if self.only is None:
            return {UNKNOWN, *range(len(categories))}
        labels = set[int]()
        for wanted in self.only:
            found = [
                label
                for label, category in enumerate(categories)
                if wanted.casefold() in (category.name.casefold(), short_name(category).casefold())
            ]
            if not found:
                close = get_close_matches(wanted, [short_name(each) for each in categories], 1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                raise ValueError(f"no class is named {wanted!r}{hint}")
            labels.update(found)
        return labels


def draw(
    image: UInt8[np.ndarray, "h w 3"],
    panoptic: PanopticMap,
    categories: Categories,
    style: Style | None = None,
    *,
    colors: UInt8[np.ndarray, "segments 3"] | None = None,
) -> UInt8[np.ndarray, "H w 3"]:
    """Draw a panoptic map over its photo.

    Each segment gets the colour of its class, varied between instances, an outline in a shade of it
    and, where it fits, a label with its class and score. Void is grey and hatched.

    Raises:
        ValueError: If photo and map differ in size, the photo is not 8-bit RGB, a segment has a
            label that no category has, or the style names a class that does not exist.
    """
    style = style or Style()
    _check(image, panoptic, categories)
    labels = style.labels(categories)
    shown = [segment.label in labels for segment in panoptic.segments]
    if image.size == 0:
        return image.copy()
    colors = segment_colors(panoptic, categories) if colors is None else colors
    shades = _shades(image, panoptic, colors, style)
    picture = _paint(image, panoptic, _Paint(panoptic, colors, shades, shown, style), style)
    names = _names(panoptic, categories, colors, shown, scores=style.scores)
    sizes = _text_sizes(panoptic.size, style)
    written = write_names(picture, panoptic.ids, names, sizes) if style.names else set()
    if not style.legend:
        return picture
    missing = {number: name for number, name in names.items() if number not in written}
    return _with_legend(picture, panoptic, categories, missing, sizes[0])


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
    pen, font = ImageDraw.Draw(page), font_for("".join(captions), size)
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


def _check(
    image: UInt8[np.ndarray, "h w 3"], panoptic: PanopticMap, categories: Categories
) -> None:
    check_image(image)
    if image.shape[:2] != panoptic.size:
        raise ValueError(
            f"the photo has {image.shape[1]} x {image.shape[0]} pixels, but the map has "
            f"{panoptic.size[1]} x {panoptic.size[0]}; expected the same size"
        )
    for segment in panoptic.segments:
        if not UNKNOWN <= segment.label < len(categories):
            raise ValueError(
                f"a segment has label {segment.label}; expected a label of the "
                f"{len(categories)} categories, from 0"
            )


def _names(
    panoptic: PanopticMap,
    categories: Categories,
    colors: UInt8[np.ndarray, "segments 3"],
    shown: Sequence[bool],
    *,
    scores: bool,
) -> dict[int, Name]:
    """Return class and score of each segment that is drawn, by its number."""
    names = {}
    for number, (segment, color) in enumerate(zip(panoptic.segments, colors, strict=True), 1):
        text = _class_name(categories, segment.label)
        if scores and segment.score is not None:
            text += f" {segment.score:.0%}"
        red, green, blue = color.tolist()
        if shown[number - 1]:
            names[number] = Name(text=text, color=(red, green, blue))
    return names


def _class_name(categories: Categories, label: int) -> str:
    """Return the name of a class in letters that some font has, or its id."""
    if label == UNKNOWN:
        return "unknown"
    return writable(short_name(categories[label])) or f"class {categories[label].id}"


def _text_sizes(size: tuple[int, int], style: Style) -> list[int]:
    largest = max(style.min_text, round(min(size) * style.text))
    smaller = [round(part * largest) for part in (0.82, 0.68)]
    return [largest, *(each for each in smaller if style.min_text <= each < largest)]


def _with_legend(
    picture: UInt8[np.ndarray, "h w 3"],
    panoptic: PanopticMap,
    categories: Categories,
    missing: Mapping[int, Name],
    size: int,
) -> UInt8[np.ndarray, "H w 3"]:
    """Add a strip that lists the classes of segments whose names are not in the picture."""
    areas = panoptic.areas()
    colors: dict[int, list[Color]] = {}
    for number, name in missing.items():
        if areas[number - 1]:
            colors.setdefault(panoptic.segments[number - 1].label, []).append(name.color)
    if not colors:
        return picture
    entries = [
        (_class_name(categories, label), [*dict.fromkeys(each)]) for label, each in colors.items()
    ]
    return np.concatenate([picture, legend(picture.shape[1], entries, size)])


class _Paint:
    """What remains of the photo and what is added to it, for each segment and level of outline.

    Entry i, j of both tables is for segment i, where the outline covers j of the steps.
    """

    def __init__(
        self,
        panoptic: PanopticMap,
        colors: UInt8[np.ndarray, "segments 3"],
        shades: UInt8[np.ndarray, "segments 3"],
        shown: Sequence[bool],
        style: Style,
    ) -> None:
        fill = _opacities(panoptic, style)[:, None, None]
        line = np.linspace(0, 1, _LEVELS)[:, None]
        photo = (1 - fill) * (1 - line) * np.ones(3)
        paint = colors[:, None] * fill * (1 - line) + shades[:, None] * line
        hidden = ~np.array(shown, bool)
        photo[hidden], paint[hidden] = 1, 0
        self.photo = _of_256(photo, void=1)
        # The half that rounds is a little less than that, so that no sum exceeds 16 bits.
        self.paint = _of_256(paint, void=0) + np.uint16(127)


def _of_256(
    table: Float[np.ndarray, "segments levels 3"], void: int
) -> Integer[np.ndarray, "rows levels 3"]:
    rows = np.concatenate([np.full((1, _LEVELS, 3), void), table])
    return np.rint(256 * rows).astype(np.uint16)


def _opacities(panoptic: PanopticMap, style: Style) -> Float[np.ndarray, " segments"]:
    return np.array(
        [style.opacity * (1 if segment.isthing else style.stuff) for segment in panoptic.segments],
        float,
    )


def _shades(
    image: UInt8[np.ndarray, "h w 3"],
    panoptic: PanopticMap,
    colors: UInt8[np.ndarray, "segments 3"],
    style: Style,
) -> UInt8[np.ndarray, "segments 3"]:
    """Return a shade of each segment's colour that stands out: a light one where it is dark."""
    step = -(-max(panoptic.size) // _GRID)
    grid = np.s_[step // 2 :: step, step // 2 :: step]
    ids = panoptic.ids[grid].ravel()
    red, green, blue = image[grid].reshape(-1, 3).T.astype(np.uint16)
    photo = (red + green + blue) / 3
    count = len(colors) + 1
    pixels = np.bincount(ids, minlength=count)[1:]
    below = np.bincount(ids, photo, count)[1:] / np.maximum(1, pixels)
    fill = _opacities(panoptic, style)
    dark = (1 - fill) * below + fill * colors.mean(axis=1) < _DARK
    shades = to_oklch(colors)
    shades[:, 0] = np.where(
        dark, np.maximum(shades[:, 0], _MIDDLE) + _SHADE, np.minimum(shades[:, 0], _MIDDLE) - _SHADE
    )
    return from_oklch(shades)


def _paint(
    image: UInt8[np.ndarray, "h w 3"], panoptic: PanopticMap, paint: _Paint, style: Style
) -> UInt8[np.ndarray, "h w 3"]:
    """Paint the segments over the photo, a few rows at a time."""
    picture = np.empty(image.shape, np.uint8)
    outlines = _Outlines(panoptic.ids, style.outline) if style.outline > 0 else None
    for rows in row_strips(panoptic.size, max(_STRIP, 8 * image.shape[1])):
        ids = panoptic.ids[rows]
        level = np.zeros(ids.shape, np.uint8) if outlines is None else outlines.levels(rows)
        blend(image[rows], ids, level, paint.photo, paint.paint, picture[rows])
        if style.only is None:
            _hatch(picture[rows], image[rows], ids, start=rows.start, height=len(image))
    return picture


def _hatch(
    picture: UInt8[np.ndarray, "rows w 3"],
    image: UInt8[np.ndarray, "rows w 3"],
    ids: Int32[np.ndarray, "rows w"],
    *,
    start: int,
    height: int,
) -> None:
    """Paint void as the photo in grey with diagonal stripes, in place.

    Args:
        picture: Rows of the picture.
        image: The same rows of the photo.
        ids: Their pixels' segments.
        start: Number of the first row.
        height: Number of rows of the whole photo.
    """
    void = ids == VOID
    if not void.any():
        return
    period = max(4, min(height, ids.shape[1]) // 40)
    rows, columns = np.nonzero(void)
    stripes = (rows + columns + start) % period < period / 3
    grey = image[void].sum(axis=1, dtype=np.uint16) // np.uint16(9)
    grey += np.where(stripes, np.uint16(100), np.uint16(60))
    picture[void] = grey[:, None]


class _Outlines:
    """Outlines of the segments, drawn on a reduced map if they are wide."""

    def __init__(self, ids: Int32[np.ndarray, "h w"], outline: float) -> None:
        width = max(1, min(ids.shape) * outline)
        factor = max(1, int(width / _LINE), int(math.sqrt(ids.size / _SKETCH)))
        sketch = resize_ids(ids, (-(-ids.shape[0] // factor), -(-ids.shape[1] // factor)))
        self._size = ids.shape
        self._lines = borders.lines(sketch, width / factor, round(_FRAGMENT * sketch.size))

    def levels(self, rows: slice) -> UInt8[np.ndarray, "rows w"]:
        """Return how much of each pixel an outline covers, in levels."""
        height, width = self._size
        cover = self._lines[rows]
        if self._lines.shape != self._size:
            scale = len(self._lines) / height
            box = (0, rows.start * scale, self._lines.shape[1], rows.stop * scale)
            size = (width, rows.stop - rows.start)
            reduced = Image.fromarray(self._lines)
            cover = np.asarray(reduced.resize(size, Image.Resampling.BILINEAR, box))
        return cover // np.uint8(256 // _LEVELS)
