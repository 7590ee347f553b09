"""Names of segments: where they fit in a picture, and a legend for those that fit nowhere."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count

import numpy as np
from PIL import Image, ImageDraw

from jsisnet.arrays import Bool, Int32, Int64, UInt8
from jsisnet.panoptic import PanopticMap, Segment
from jsisnet.visualize.fonts import font_for
from jsisnet.visualize.palette import Color

_GRID = 160
"""Cells along the longer side of the grid on which names are placed."""

_INSIDE, _PARTLY = 0.9, 0.4
"""Fraction of a name's box that must lie inside its segment: at first, and for things that it fits
into nowhere."""

_MARGINS = (2, 4, 8, 16, 32)
"""Cells around a box within which more of its segment makes a better place."""

_MAX_PLACES = 256
"""Most places that are compared for a box."""

_MAX_LETTERS = 32
"""Letters after which a name is cut off."""

_HEIGHT, _PADDING = 1.3, 0.75
"""Height of a name's box, and width in addition to the text's, relative to the text's height."""

_OPACITY, _SHADE = 0.78, 0.3
"""Opacity of a name's box, and its brightness relative to the colour of its segment."""

_ROW = 1.7
"""Height of the rows of a legend, relative to its text."""

_MAX_SWATCHES = 5
"""Most colours that a legend shows of a class."""

_INK = (40, 40, 44)
"""Colour of the text of a legend."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Name:
    """A text and the colour of the segment that it names."""

    text: str
    """What is written; cut off if it is too long."""

    color: Color
    """Colour of the segment; the box behind the text is darker."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A box for a name."""

    size: int
    """Height of the text in pixels."""

    top: int
    """First row of the box."""

    left: int
    """First column of the box."""

    height: int
    """Rows of the box."""

    width: int
    """Columns of the box."""


def write_names(
    picture: UInt8[np.ndarray, "h w 3"],
    ids: Int32[np.ndarray, "h w"],
    names: Mapping[int, Name],
    sizes: Sequence[int],
) -> set[int]:
    """Write the names of segments where they have room, in place.

    Args:
        picture: Picture of the map.
        ids: Segments' numbers, from 1.
        names: Names by number.
        sizes: Heights of the text in pixels, in order of preference.

    Returns:
        The numbers of the segments whose names are in the picture.
    """
    places = place_names(ids, {number: name.text for number, name in names.items()}, sizes)
    for number, place in places.items():
        _write(picture, names[number], place)
    return set(places)


def place_names(
    ids: Int32[np.ndarray, "h w"], texts: Mapping[int, str], sizes: Sequence[int]
) -> dict[int, Place]:
    """Find boxes for the names of segments, large segments first; no two of them overlap.

    Args:
        ids: Segments' numbers, from 1.
        texts: Names by number.
        sizes: Heights of the text in pixels, in order of preference.

    Returns:
        The boxes by number; names that fit nowhere have none.
    """
    room = _Room(ids, max(texts, default=0))
    places: dict[int, Place] = {}
    left = sorted(texts, key=lambda number: -room.area(number))
    for inside, tried in ((_INSIDE, sizes), (_PARTLY, sizes[-1:])):
        for number in left:
            found = (room.place(number, texts[number], size, inside) for size in tried)
            place = next(filter(None, found), None)
            if place is not None:
                places[number] = place
        left = [number for number in left if number not in places]
    return places


def _write(picture: UInt8[np.ndarray, "h w 3"], name: Name, place: Place) -> None:
    """Write a name into its box, white on a dark shade of the segment's colour, in place."""
    rows = slice(place.top, place.top + place.height)
    columns = slice(place.left, place.left + place.width)
    below = picture[rows, columns].astype(np.float32)
    shade = np.array(name.color, np.float32) * _SHADE
    below += (shade - below) * (_pill(place.height, place.width) * np.float32(_OPACITY / 255))
    below += (255 - below) * (_letters(name.text, place.size) * np.float32(1 / 255))
    picture[rows, columns] = np.rint(below)


def legend(
    width: int, entries: Sequence[tuple[str, Sequence[Color]]], size: int
) -> UInt8[np.ndarray, "h w 3"]:
    """Draw a strip that explains colours, as wide as a picture and as high as it takes.

    Args:
        width: Width in pixels.
        entries: Names and their colours.
        size: Height of the text in pixels.
    """
    gap, row, side = round(size * 0.4), round(size * _ROW), round(size * 0.9)
    step = side + gap // 2
    spots, x, y = [], gap, 0
    for text, colors in entries:
        swatches = colors[:_MAX_SWATCHES]
        length = step * len(swatches) + gap + _text_length(text, size)
        if x > gap and x + length > width:
            x, y = gap, y + row
        spots.append((_shortened(text), swatches, x, y + (row + gap) // 2))
        x += length + 2 * gap
    page = Image.new("RGB", (width, y + row + gap), "white")
    pen = ImageDraw.Draw(page)
    for text, swatches, start, middle in spots:
        top = middle - side // 2
        for left, color in zip(count(start, step), swatches, strict=False):
            pen.rounded_rectangle((left, top, left + side - 1, top + side - 1), side // 4, color)
        left = start + step * len(swatches) + gap // 2
        pen.text((left, middle), text, _INK, font_for(text, size), "lm")
    return np.array(page)


class _Room:
    """Free places in segments, on a coarse grid of the map."""

    def __init__(self, ids: Int32[np.ndarray, "h w"], last: int) -> None:
        self._step = -(-max(1, *ids.shape) // _GRID)
        rows, columns = (side // self._step for side in ids.shape)
        first = self._step // 2
        self._ids = np.ascontiguousarray(
            ids[first :: self._step, first :: self._step][:rows, :columns]
        )
        segments = (Segment(label=0, isthing=False),) * max(last, self._ids.max(initial=0))
        grid = PanopticMap(self._ids, segments)
        self._boxes, self._areas = grid.boxes().tolist(), grid.areas().tolist()
        self._taken = np.zeros(self._ids.shape, bool)

    def area(self, number: int) -> int:
        """Return the number of cells of a segment."""
        return self._areas[number - 1]

    def place(self, number: int, text: str, size: int, inside: float) -> Place | None:
        """Reserve the roomiest place for a segment's name, of which a part lies inside it."""
        box = _box(text, size)
        height, width = (-(-side // self._step) for side in box)
        if self._areas[number - 1] < inside * height * width:
            return None
        x0, y0, x1, y1 = self._boxes[number - 1]
        beyond = math.ceil((1 - inside) * height), math.ceil((1 - inside) * width)
        top, left = max(0, y0 - beyond[0]), max(0, x0 - beyond[1])
        window = slice(top, y1 + beyond[0]), slice(left, x1 + beyond[1])
        cells = self._ids[window] == number
        spot = _roomiest(cells, self._taken[window], (height, width), inside)
        if spot is None:
            return None
        row, column = top + spot[0], left + spot[1]
        self._taken[row : row + height, column : column + width] = True
        return Place(
            size=size,
            top=row * self._step + (height * self._step - box[0]) // 2,
            left=column * self._step + (width * self._step - box[1]) // 2,
            height=box[0],
            width=box[1],
        )


def _roomiest(
    inside: Bool[np.ndarray, "h w"],
    taken: Bool[np.ndarray, "h w"],
    box: tuple[int, int],
    min_inside: float,
) -> tuple[int, int] | None:
    """Find the first row and column of the box that lies in a region and best amid it.

    Args:
        inside: The region.
        taken: Cells that the box must not cover.
        box: Height and width of the box.
        min_inside: Fraction of the box that must lie in the region.
    """
    height, width = box
    if inside.shape[0] < height or inside.shape[1] < width:
        return None
    sums = _integral(inside)
    cells = _box_sums(sums, height, width)
    fits = cells >= min_inside * height * width
    if taken.any():
        fits &= _box_sums(_integral(taken), height, width) == 0
    places = np.flatnonzero(fits)
    if not len(places):
        return None
    places = places[:: -(-len(places) // _MAX_PLACES)]
    rows, columns = np.divmod(places, fits.shape[1])
    room = cells[rows, columns] / (height * width)
    for margin in _MARGINS:
        top, left = np.maximum(rows - margin, 0), np.maximum(columns - margin, 0)
        bottom = np.minimum(rows + (height + margin), inside.shape[0])
        right = np.minimum(columns + (width + margin), inside.shape[1])
        cover = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
        room += cover / ((height + 2 * margin) * (width + 2 * margin))
    best = int(room.argmax())
    return int(rows[best]), int(columns[best])


def _integral(region: Bool[np.ndarray, "h w"]) -> Int64[np.ndarray, "_ _"]:
    """Return the number of cells above and to the left of each corner."""
    sums = np.zeros((region.shape[0] + 1, region.shape[1] + 1), np.int64)
    np.cumsum(np.cumsum(region, axis=0, dtype=np.int64), axis=1, out=sums[1:, 1:])
    return sums


def _box_sums(sums: Int64[np.ndarray, "_ _"], height: int, width: int) -> Int64[np.ndarray, "_ _"]:
    """Return the number of cells in each box."""
    tall = sums[height:] - sums[:-height]
    return tall[:, width:] - tall[:, :-width]


def _box(text: str, size: int) -> tuple[int, int]:
    """Return height and width of the box of a text."""
    return round(size * _HEIGHT), _text_length(text, size) + round(size * _PADDING)


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_LETTERS else f"{text[: _MAX_LETTERS - 3].rstrip()}..."


@lru_cache(4096)
def _text_length(text: str, size: int) -> int:
    text = _shortened(text)
    return math.ceil(font_for(text, size).getlength(text))


@lru_cache(128)
def _letters(text: str, size: int) -> UInt8[np.ndarray, "h w 1"]:
    """Return how much of each pixel of a text's box its letters cover, 0 to 255."""
    height, width = _box(text, size)
    canvas = Image.new("L", (width, height))
    text = _shortened(text)
    middle = width / 2, height / 2
    ImageDraw.Draw(canvas).text(middle, text, 255, font_for(text, size), "mm")
    return np.array(canvas)[..., None]


@lru_cache(64)
def _pill(height: int, width: int) -> UInt8[np.ndarray, "h w 1"]:
    """Return how much of each pixel a box with round corners covers, 0 to 255."""
    radius = 0.3 * height
    down, across = (np.abs(np.arange(side) + 0.5 - side / 2) for side in (height, width))
    outside = np.hypot(
        (down - (height / 2 - radius)).clip(0)[:, None], (across - (width / 2 - radius)).clip(0)
    )
    return (255 * (radius + 0.5 - outside).clip(0, 1)).astype(np.uint8)[..., None]
