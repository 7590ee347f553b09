"""Colours and short names of classes."""

import math
import re
from functools import cache

import numpy as np

from jsisnet.arrays import UInt8
from jsisnet.categories import Categories, Category
from jsisnet.panoptic import PanopticMap

Color = tuple[int, int, int]
"""Red, green and blue, each 0 to 255."""

_NATURAL_COLORS: dict[str, Color] = {
    "building": (204, 122, 106),
    "ceiling": (238, 224, 178),
    "dirt": (150, 114, 80),
    "floor": (196, 140, 84),
    "flower": (230, 136, 178),
    "grass": (146, 204, 84),
    "ground": (170, 160, 118),
    "mountain": (130, 132, 108),
    "pavement": (176, 164, 190),
    "plant": (88, 166, 84),
    "river": (78, 160, 196),
    "road": (118, 110, 158),
    "rock": (144, 136, 126),
    "sand": (228, 204, 142),
    "sea": (48, 122, 186),
    "sky": (120, 188, 240),
    "snow": (226, 238, 248),
    "tree": (52, 140, 80),
    "wall": (196, 186, 212),
    "water": (66, 146, 204),
}
"""Familiar colours of common stuff classes."""

_GOLDEN = 0.618034
"""Golden ratio; any number of its multiples, modulo 1, is spread evenly."""


def segment_colors(
    panoptic: PanopticMap, categories: Categories
) -> UInt8[np.ndarray, "segments 3"]:
    """Return the colour of each segment: that of its class, varied between instances.

    The first instance of a class has the exact colour of the class.
    """
    counts = [0] * len(categories)
    colors = np.zeros((len(panoptic.segments), 3), np.uint8)
    for color, segment in zip(colors, panoptic.segments, strict=True):
        color[:] = _variation(category_color(categories, segment.label), counts[segment.label])
        counts[segment.label] += segment.isthing
    return colors


def category_color(categories: Categories, label: int) -> Color:
    """Return the colour of a class, or choose one if it has none."""
    category = categories[label]
    return (
        category.color
        or _NATURAL_COLORS.get(short_name(category))
        or _spread(label, category.isthing)
    )


def short_name(category: Category) -> str:
    """Return the name of a class without COCO's suffixes of stuff names and without line breaks."""
    return re.sub(r"(-(other|merged|stuff))+$", "", " ".join(category.name.split()))


@cache
def _spread(label: int, isthing: bool) -> Color:
    """Choose a hue far from those of neighbouring labels; vivid for things, pale for stuff."""
    lightness = (0.7, 0.62, 0.78)[label % 3]
    return _from_oklch(lightness, 0.17 if isthing else 0.09, label * _GOLDEN)


@cache
def _variation(color: Color, count: int) -> Color:
    if count == 0:
        return color
    lightness, chroma, hue = _to_oklch(color)
    lightness = min(max(lightness, 0.55), 0.75) + 0.3 * (count * 0.754878 % 1 - 0.5)
    return _from_oklch(lightness, max(chroma, 0.1), hue + 0.2 * (count * _GOLDEN % 1 - 0.5))


_RGB_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LMS_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def _to_oklch(color: Color) -> tuple[float, float, float]:
    """Convert to lightness, chroma and hue (in turns) in the perceptually uniform Oklab."""
    linear = (np.array(color) / 255) ** 2.2
    lightness, a, b = (_LMS_TO_LAB @ np.cbrt(_RGB_TO_LMS @ linear)).tolist()
    return lightness, math.hypot(a, b), math.atan2(b, a) / math.tau


def _from_oklch(lightness: float, chroma: float, hue: float) -> Color:
    a, b = chroma * math.cos(hue * math.tau), chroma * math.sin(hue * math.tau)
    linear = np.linalg.solve(_RGB_TO_LMS, np.linalg.solve(_LMS_TO_LAB, [lightness, a, b]) ** 3)
    red, green, blue = np.rint(255 * linear.clip(0, 1) ** (1 / 2.2)).astype(int).tolist()
    return red, green, blue
