"""PNGs of classes: each pixel has the id or the colour of its class."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import dist

import numpy as np

from jsisnet.arrays import Int64, Integer
from jsisnet.categories import Categories, CategoryId
from jsisnet.files.archives import StoredFile
from jsisnet.files.png import Values, read_values, size_of

HIGHEST_ID = 254
"""Highest category id in 8-bit maps; 0 and 255 mean void in many data sets."""

_HIGHEST_WIDE_ID = 65535
"""Highest category id in 16-bit maps."""

USUAL_VOID = (0, 255)
"""Values that mean void unless a category has them as its id."""

Color = tuple[int, int, int]
"""Red, green and blue."""

_BLACK = (0, 0, 0)
_GREY = ()
_WEIGHTS = (1, 2**8, 2**16)


class UnknownValue(ValueError):  # noqa: N818 - a kind of `ValueError`
    """A value that is neither void nor the id of a category."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassValues:
    """Meaning of the values of a class map."""

    categories: Categories
    """Classes; their ids are the values."""

    void: frozenset[int]
    """Values of void."""

    @classmethod
    def of(cls, categories: Categories, void: Collection[int] | None = None) -> "ClassValues":
        """Combine classes with the given void values, by default those of `USUAL_VOID`.

        Raises:
            ValueError: If a void value is the id of a category.
        """
        if void is None:
            return cls(
                categories=categories, void=frozenset(USUAL_VOID) - {c.id for c in categories}
            )
        for value in void:
            if value in categories:
                raise ValueError(f"{value} cannot mean void: it is the id of a category")
        return cls(categories=categories, void=frozenset(void))

    def label(self, value: int) -> int | None:
        """Return the label of a value, or `None` for void.

        Raises:
            UnknownValue: If the value is neither void nor the id of a category.
        """
        if value in self.void:
            return None
        if value not in self.categories:
            void = ", ".join(map(str, sorted(self.void))) or "none"
            raise UnknownValue(
                f"value {value} is not the id of one of the {len(self.categories)} categories "
                f"(void values: {void})"
            )
        return self.categories.label(value)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassMap:
    """The pixels of one class map."""

    values: Values
    """Grey or RGB."""

    label: Callable[[int], int | None]
    """Returns the label of a code, `None` for void; raises `ValueError` for an unknown code."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return size_of(self.values)

    def codes(self, rows: slice) -> Int64[np.ndarray, "rows w"]:
        """Return one number for each pixel of some rows."""
        return combine_channels(self.values, rows)


def read_class_map(file: StoredFile, classes: ClassValues) -> ClassMap:
    """Read a class map.

    The values of grey and palette PNGs are category ids. RGB PNGs have the colours of the
    categories; black is void unless a category has it.

    Raises:
        ValueError: If the PNG is damaged or of another kind, or is in colour and the categories
            have no colours or share one. The message names the file.
    """
    try:
        values = read_values(file)
        match values.shape[2:]:
            case ():
                return ClassMap(values=values, label=classes.label)
            case (3,):
                colors = _labels_by_color(classes.categories)
                label = partial(_label_of_color, classes.categories, colors)
                return ClassMap(values=values, label=label)
        raise ValueError(f"{values.shape[2]} channels; expected one (ids) or three (colours)")
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def combine_channels(values: Values, rows: slice) -> Int64[np.ndarray, "rows w"]:
    """Return the values of some rows of grey pixels, or R + 256 G + 65536 B of RGB pixels."""
    part = values[rows].astype(np.int64)
    return part if values.shape[2:] == _GREY else part @ np.array(_WEIGHTS)


def fit_ids(categories: Categories, highest: int) -> Categories:
    """Return the categories with ids that fit into pixels: their own, or 1, 2, 3 and so on.

    Args:
        categories: The categories.
        highest: Highest id that fits.

    Raises:
        ValueError: If there are too many categories.
    """
    if all(isinstance(c.id, int) and 0 < c.id <= highest for c in categories):
        return categories
    if len(categories) > highest:
        raise ValueError(
            f"there are {len(categories)} classes, but the format can store {highest} at most"
        )
    return Categories(tuple(replace(c, id=i) for i, c in enumerate(categories, 1)))


def fit_map_ids(categories: Categories) -> Categories:
    """Return the categories with ids that fit into class maps: 8-bit ones, or 16-bit ones.

    Raises:
        ValueError: If there are too many categories.
    """
    return fit_ids(categories, HIGHEST_ID if len(categories) <= HIGHEST_ID else _HIGHEST_WIDE_ID)


def map_values(ids: Sequence[CategoryId]) -> Integer[np.ndarray, " n"]:
    """Return the pixel values of ids from `fit_map_ids`, in 8 bits if they fit."""
    values = np.array(ids)
    return values.astype(np.uint8 if values.max() <= HIGHEST_ID else np.uint16)


def _labels_by_color(categories: Categories) -> dict[Color, int | None]:
    labels: dict[Color, int | None] = {}
    for label, category in enumerate(categories):
        if category.color is not None:
            other = labels.setdefault(category.color, label)
            if other is not None and other != label:
                raise ValueError(
                    f"in colour, but {categories[other].name!r} and {category.name!r} share the "
                    f"colour {_color_text(category.color)}"
                )
    if not labels:
        raise ValueError("in colour, but none of the categories has a 'color'")
    labels.setdefault(_BLACK, None)
    return labels


def _label_of_color(
    categories: Categories, labels: dict[Color, int | None], code: int
) -> int | None:
    color = (code % 2**8, code // 2**8 % 2**8, code // 2**16)
    if color in labels:
        return labels[color]
    nearest = min(labels, key=partial(dist, color))
    label = labels[nearest]
    meaning = "void" if label is None else repr(categories[label].name)
    raise ValueError(
        f"no category has the colour {_color_text(color)}; the nearest is "
        f"{_color_text(nearest)}, {meaning}"
    )


def _color_text(color: Color) -> str:
    return ",".join(map(str, color))
