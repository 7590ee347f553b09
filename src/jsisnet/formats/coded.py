"""Panoptic maps from and to pixels whose values code a class and an instance."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import dist

import numpy as np

from jsisnet.arrays import Int32, Int64, Integer, UInt32
from jsisnet.categories import Categories
from jsisnet.files import pixels
from jsisnet.files.archives import StoredFile
from jsisnet.files.png import Values, read_values, size_of
from jsisnet.panoptic import VOID, PanopticMap, Segment

HIGHEST_ID = 254
"""Of a class that fits into 8 bits, beside two values that mean void in many data sets."""

USUAL_VOID = (0, 255)
"""Values of void, unless a class has them as its id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Coding:
    """What the values of classes mean."""

    categories: Categories
    """Their ids are the values."""

    void: frozenset[int]
    """Values without a class."""

    @classmethod
    def of(cls, categories: Categories, void: Collection[int] | None = None) -> "Coding":
        """Take the given values for void, or else the usual ones that are no class.

        Raises:
            ValueError: If a value is a class too.
        """
        if void is None:
            return cls(
                categories=categories, void=frozenset(USUAL_VOID) - {c.id for c in categories}
            )
        for value in void:
            if value in categories:
                raise ValueError(f"{value} can't be void: it is the id of a category")
        return cls(categories=categories, void=frozenset(void))

    def label(self, value: int) -> int | None:
        """Give the label of a value, or `None` for void.

        Raises:
            ValueError: If it is neither void nor the id of a class.
        """
        if value in self.void:
            return None
        if value not in self.categories:
            known = " and ".join(map(str, sorted(self.void))) or "no value"
            raise ValueError(
                f"class {value} is none of the {len(self.categories)} categories ({known} is void)"
            )
        return self.categories.label(value)


def in_numbers(categories: Categories, highest: int) -> Categories:
    """Give classes ids that fit into pixels: their own, or else their positions plus 1.

    Raises:
        ValueError: If there are too many classes.
    """
    if all(isinstance(c.id, int) and 0 < c.id <= highest for c in categories):
        return categories
    if len(categories) > highest:
        raise ValueError(f"there are {len(categories)} classes; the format has room for {highest}")
    return Categories(tuple(replace(c, id=i) for i, c in enumerate(categories, 1)))


Color = tuple[int, int, int]
"""Red, green and blue."""

_BLACK = (0, 0, 0)
_GREY = ()
_WEIGHTS = (1, 2**8, 2**16)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassMap:
    """One map of classes."""

    values: Values
    """Grey, or RGB."""

    label: Callable[[int], int | None]
    """Gives the label of a code, `None` for void. A `ValueError` says which code stands for
    nothing."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return size_of(self.values)

    def codes(self, rows: slice) -> Int64[np.ndarray, "rows w"]:
        """Give one number for each pixel of some rows."""
        return numbers(self.values, rows)


def read_class_map(file: StoredFile, coding: Coding) -> ClassMap:
    """Read a map.

    In grey and palette PNGs a value is the id of a class. RGB ones have the colours of the classes,
    and black is void unless a class has it.

    Raises:
        ValueError: If the PNG is broken or of another kind, or is in colour and the classes have
            none, or share one. The message names the file.
    """
    try:
        values = read_values(file)
        match values.shape[2:]:
            case ():
                return ClassMap(values=values, label=coding.label)
            case (3,):
                colors = _labels(coding.categories)
                return ClassMap(values=values, label=partial(_of_color, coding.categories, colors))
        raise ValueError(f"has {values.shape[2]} channels, expected one, or the three of a colour")
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def numbers(values: Values, rows: slice) -> Int64[np.ndarray, "rows w"]:
    """Give the values of some rows of grey pixels, or R + 256 G + 65536 B of coloured ones."""
    part = values[rows].astype(np.int64)
    return part if values.shape[2:] == _GREY else part @ np.array(_WEIGHTS)


def _labels(categories: Categories) -> dict[Color, int | None]:
    labels: dict[Color, int | None] = {}
    for label, category in enumerate(categories):
        if category.color is not None:
            other = labels.setdefault(category.color, label)
            if other is not None and other != label:
                raise ValueError(
                    f"is in colour, but {categories[other].name!r} and {category.name!r} share the "
                    f"colour {_text(category.color)}"
                )
    if not labels:
        raise ValueError("is in colour, but none of the categories has a 'color'")
    labels.setdefault(_BLACK, None)
    return labels


def _of_color(categories: Categories, labels: dict[Color, int | None], code: int) -> int | None:
    color = (code % 2**8, code // 2**8 % 2**8, code // 2**16)
    if color in labels:
        return labels[color]
    nearest = min(labels, key=partial(dist, color))
    label = labels[nearest]
    meaning = "void" if label is None else repr(categories[label].name)
    raise ValueError(
        f"the colour {_text(color)} is none of the categories'; the nearest one is "
        f"{_text(nearest)}, {meaning}"
    )


def _text(color: Color) -> str:
    return ",".join(map(str, color))


_STRIP = 2**18
"""Pixels that are looked at together; intermediate results are no larger than that."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Meaning:
    """What a value stands for; values of the same meaning are one segment."""

    label: int
    """The class."""

    instance: int = 0
    """Tells things of a class apart; always 0 for stuff."""

    iscrowd: bool = False
    """Whether the things of the region are not told apart."""


def drawn(
    size: tuple[int, int],
    values: Callable[[slice], Integer[np.ndarray, "rows w"]],
    meaning: Callable[[int], Meaning | None],
    categories: Categories,
) -> PanopticMap:
    """Draw a map, strip by strip.

    Args:
        size: Height and width in pixels.
        values: Gives the values of some rows.
        meaning: Tells what a value stands for, `None` for void; is asked once for each value.
        categories: Classes of the labels.

    Returns:
        The map, with segments in the order in which rows from the top come upon them; each owns
        at least one pixel.
    """
    ids = np.empty(size, np.int32)
    numbers: dict[int, int] = {}
    segments: dict[Meaning, int] = {}
    for rows in _strips(size):
        flat = values(rows).ravel()
        # Neighbours mostly share a segment, so runs of equal pixels are looked up, not pixels.
        starts = np.flatnonzero(np.append(True, flat[1:] != flat[:-1]))[: len(flat)]
        found, places = np.unique(flat[starts], return_inverse=True)
        for value in found.tolist():
            if value not in numbers:
                meant = meaning(value)
                new = len(segments) + 1
                numbers[value] = VOID if meant is None else segments.setdefault(meant, new)
        table = np.array([numbers[value] for value in found.tolist()], np.int32)
        lengths = np.diff(starts, append=len(flat))
        ids[rows] = np.repeat(table[places], lengths).reshape(-1, size[1])
    return PanopticMap(
        ids,
        tuple(
            Segment(label=m.label, isthing=categories[m.label].isthing, iscrowd=m.iscrowd)
            for m in segments
        ),
    )


def looked_up(
    table: Integer[np.ndarray, " n"], ids: Int32[np.ndarray, "h w"]
) -> Integer[np.ndarray, "h w"]:
    """Give the entry of a table for each pixel, without 64-bit numbers of the whole map."""
    result = np.empty(ids.shape, table.dtype)
    for rows in _strips((ids.shape[0], ids.shape[1])):
        result[rows] = table[ids[rows]]
    return result


def instance_numbers(panoptic: PanopticMap) -> list[int]:
    """Count the things of each class from 1; stuff and crowds get 0."""
    seen: Counter[int] = Counter()
    numbers = []
    for segment in panoptic.segments:
        counts = segment.isthing and not segment.iscrowd
        seen[segment.label] += counts
        numbers.append(seen[segment.label] if counts else 0)
    return numbers


def _strips(size: tuple[int, int]) -> Iterator[slice]:
    height, width = size
    rows = max(1, _STRIP // max(1, width))
    for start in range(0, height, rows):
        yield slice(start, min(start + rows, height))


def renumber(
    ids: UInt32[np.ndarray, "h w"], listed: Sequence[int]
) -> tuple[Int32[np.ndarray, "h w"], Int64[np.ndarray, " n"]]:
    """Replace each panoptic id by one plus its position in `listed`, and count the pixels of each.

    Raises:
        ValueError: If an id other than `VOID` is not listed.
    """
    known = np.array([*listed, *([] if VOID in listed else [VOID])], np.uint32)
    numbers = np.append(np.arange(1, len(listed) + 1), VOID).astype(np.int32)[: len(known)]
    order = np.argsort(known)
    dense = np.empty(ids.shape, np.int32)
    areas = np.zeros(len(known), np.int64)
    ascending = known[order], numbers[order]
    flat = np.ascontiguousarray(ids).ravel()
    renumbered = pixels.renumber(flat, *ascending, dense.ravel(), areas)
    if renumbered < len(flat):
        raise ValueError(f"segment {flat[renumbered]}: is in the PNG, but not in the JSON file")
    counted = np.empty_like(areas)
    counted[order] = areas
    return dense, counted[: len(listed)]
