"""Maps of classes alone: PNGs whose pixels are ids of classes, or have their colours."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import dist

import numpy as np
from jaxtyping import Int64

from jsisnet.categories import Categories
from jsisnet.files.archives import StoredFile
from jsisnet.formats.class_values import Coding
from jsisnet.formats.png_values import Values, read_values, size_of

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


def read(file: StoredFile, coding: Coding) -> ClassMap:
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
