"""Colours and short names of classes, and colours of segments."""

import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from jsisnet.arrays import Float, Int64, UInt8
from jsisnet.categories import Categories, Category
from jsisnet.panoptic import PanopticMap, resize_ids
from jsisnet.visualize.oklab import distance, from_oklch, seen, to_oklch

Color = tuple[int, int, int]
"""Red, green and blue, each 0 to 255."""

_UNKNOWN_COLOR = (128, 128, 128)
"""Colour of segments without a known class, whose label is -1: the last row of a table."""

_FAMILIES: dict[Color, str] = {
    (224, 44, 84): "person, pedestrian, people, human, man, woman, child",
    (246, 98, 60): "rider, bicyclist, motorcyclist, cyclist",
    (38, 104, 226): "car, vehicle, bus, truck, train, van, trailer, caravan, tram, airplane, boat,"
    "motorcycle, bicycle",
    (240, 150, 32): "animal, dog, cat, bird, horse, sheep, cow",
    (250, 196, 40): "outdoor, traffic light, traffic sign",
    (214, 82, 178): "accessory",
    (176, 204, 40): "sports",
    (24, 176, 178): "kitchen",
    (240, 116, 72): "food, fruit, vegetable, cake, food-stuff",
    (146, 96, 214): "furniture",
    (86, 190, 240): "electronic",
    (98, 130, 200): "appliance",
    (222, 164, 52): "indoor",
    (116, 186, 244): "sky",
    (36, 124, 180): "water, sea, river, lake, ocean",
    (224, 238, 250): "snow, ice",
    (228, 204, 142): "sand",
    (150, 114, 80): "dirt, mud",
    (174, 156, 118): "ground",
    (144, 136, 126): "rock, stone, gravel, solid",
    (136, 124, 140): "mountain, hill",
    (146, 204, 84): "grass, terrain, field, playingfield",
    (46, 142, 78): "tree, vegetation, forest",
    (96, 172, 84): "plant, potted plant, bush",
    (232, 136, 180): "flower",
    (132, 104, 164): "road, street, lane",
    (200, 146, 196): "pavement, sidewalk, platform",
    (160, 130, 120): "railroad, rail",
    (198, 144, 88): "floor",
    (186, 104, 112): "rug, carpet",
    (186, 180, 208): "wall, structural",
    (200, 122, 106): "building, house, roof, bridge",
    (180, 156, 130): "fence, raw-material",
    (238, 224, 178): "ceiling",
    (124, 176, 194): "window",
    (166, 112, 72): "door",
    (204, 140, 168): "textile, curtain, towel, blanket",
    (176, 128, 92): "table, furniture-stuff, cabinet, shelf, counter",
    (250, 228, 118): "light",
}
"""Familiar colours, and the classes, groups of classes and parts of names that have them. Of a
family's members, the one named first has the colour itself."""

_FAMILY_OF = {
    name.strip(): (color, place)
    for color, names in _FAMILIES.items()
    for place, name in enumerate(names.split(","))
}

_DOUBT = 100
"""Places in the family that a class loses for each better description that is not familiar."""

_UNFAMILIAR = 1_000_000
"""Place of classes without a family: after all others."""

_VARIANTS = 96
"""Colours of the instances of a class."""

_FAMILY_ARC = 0.34
"""Part of the circle of hues that the variants of a colour span."""

_FAR = 0.2
"""Distance in Oklab from which two colours are far apart; a larger one is no better."""

_APART = 0.12
"""Distance from which other things of a class, not neighbours, are far enough apart."""

_WEIGHTS = (0.35, 1, 1)
"""Weights of lightness, green to red and blue to yellow in the distance of things' colours."""

_STRANGE = 0.1
"""Weight of the distance from the colour of the class, relative to that from neighbours."""

_GRID = 256
"""Cells along the longer side of the grid on which neighbours are found."""

_MAX_NEIGHBOURS = 64
"""Most neighbours that a thing is told apart from."""

_NEAR = 1 / 25
"""Gap between the boxes of neighbours, relative to the longer side of the photo."""


def segment_colors(
    panoptic: PanopticMap, categories: Categories, known: Mapping[int, Color] | None = None
) -> UInt8[np.ndarray, "segments 3"]:
    """Return the colour of each segment.

    Stuff has the colour of its class. Things have variants of it: large ones come first and get the
    class's own colour where no neighbour has one like it; hues of neighbours are far apart.

    Args:
        panoptic: The map.
        categories: Its classes.
        known: Colours that things have already, such as those of earlier frames of a clip, by
            their index among the segments; the others get colours unlike them.
    """
    labels = np.array([segment.label for segment in panoptic.segments], np.int64)
    colors = np.concatenate([class_colors(categories), np.array([_UNKNOWN_COLOR], np.uint8)])[
        labels
    ]
    things = np.flatnonzero([segment.isthing for segment in panoptic.segments])
    known = known or {}
    if len(things) > 1 or known:
        boxes = _boxes_by_area(panoptic, things)
        ordered = {
            index: boxes[index] for index in sorted(boxes, key=lambda each: each not in known)
        }
        _separate(colors, labels, ordered, _NEAR * max(panoptic.size), known)
    return colors


def category_color(categories: Categories, label: int) -> Color:
    """Return the colour of a class, or choose one if it has none."""
    return _color(class_colors(categories)[label])


@lru_cache(8)
def class_colors(categories: Categories) -> UInt8[np.ndarray, "k 3"]:
    """Return the colours of all classes; read-only.

    A class has the colour that its data set gives it. Of the others, one of each family gets the
    family's familiar colour, its other members get variants, and the unfamiliar ones get colours
    far from those taken, for colour-blind readers too.
    """
    colors = np.zeros((len(categories), 3), np.uint8)
    families = [_family(category) for category in categories]
    rest, taken = [], set[Color]()
    for label in sorted(range(len(categories)), key=lambda label: families[label][1]):
        family = families[label][0]
        color = categories[label].color or (None if family in taken else family)
        if color is None:
            rest.append(label)
        else:
            taken.add(color)
            colors[label] = color
    wheels: dict[tuple[Color | None, bool], _Wheel] = {}
    known = [seen(np.array([*taken], np.uint8).reshape(-1, 3))]
    for label in sorted(rest):
        family, isthing = families[label][0], categories[label].isthing
        wheel = wheels.setdefault((family, isthing), _Wheel(_options(family, isthing)))
        colors[label] = wheel.farthest(known)
        known.append(seen(colors[label : label + 1]))
    colors.flags.writeable = False
    return colors


class _Wheel:
    """Colours to choose from, each time the one farthest from all that are taken."""

    def __init__(self, options: UInt8[np.ndarray, "n 3"]) -> None:
        self._options, self._looks = options, seen(options)
        self._gaps, self._compared = np.full(len(options), np.inf), 0

    def farthest(self, taken: Sequence[Float[np.ndarray, "_ 3 3"]]) -> UInt8[np.ndarray, " 3"]:
        """Return the option farthest from the taken colours, to which later calls add more."""
        new = np.concatenate([*taken[self._compared :]])
        gaps = distance(self._looks[:, None], new).min(axis=1, initial=np.inf)
        self._gaps = np.minimum(self._gaps, gaps)
        self._compared = len(taken)
        return self._options[int(self._gaps.argmax())]


def short_name(category: Category) -> str:
    """Return the name of a class without COCO's suffixes of stuff names and without line breaks."""
    return re.sub(r"(-(other|merged|stuff))+$", "", " ".join(category.name.split()))


def _family(category: Category) -> tuple[Color | None, int]:
    """Find the familiar colour for a name, its group or a word of the name.

    Returns:
        The colour, and the place of the class in the family, 0 for the first.
    """
    name = short_name(category).casefold()
    words = re.findall(r"[^\W\d_]+", name)
    group = (category.supercategory or "").casefold()
    # The last word of a thing's name may mislead, as in hot dog; the group does not.
    names = [name, group, *words[::-1]] if category.isthing else [name, *words, group]
    for doubt, each in enumerate(names):
        if each in _FAMILY_OF:
            color, place = _FAMILY_OF[each]
            return color, place + _DOUBT * doubt
    return None, _UNFAMILIAR


def _options(family: Color | None, isthing: bool) -> UInt8[np.ndarray, "n 3"]:
    """Return colours for members of a family or, without one, of all hues; vivid for things."""
    if family is not None:
        return _varied(family, 0.2, 0.15, 32) if isthing else _varied(family, 0.14, 0.0, 32)
    lightness, chroma, hue = np.meshgrid(
        [0.7, 0.58, 0.82, 0.64], [0.17, 0.13] if isthing else [0.09, 0.06], np.arange(36) / 36
    )
    return from_oklch(np.stack([lightness, chroma, hue], axis=-1).reshape(-1, 3))


def _varied(
    color: Color, arc: float, min_chroma: float, count: int
) -> UInt8[np.ndarray, "count 3"]:
    """Return a colour and others of hues in an arc around it, any few of which spread evenly."""
    lightness, chroma, hue = to_oklch(np.array(color, np.uint8)).tolist()
    number = np.arange(count)
    # Multiples of these numbers, modulo 1, fill a square evenly.
    across, along = number * 0.754878 % 1, (number * 0.569840 + 0.5) % 1
    options = np.stack(
        [
            min(max(lightness, 0.58), 0.72) + 0.26 * (across - 0.5),
            np.full(count, max(chroma, min_chroma)),
            hue + arc * (along - 0.5),
        ],
        axis=1,
    )
    return np.concatenate([np.array([color], np.uint8), from_oklch(options)[1:]])


@lru_cache(256)
def _variants(color: Color) -> UInt8[np.ndarray, "n 3"]:
    """Return colours for the things of a class."""
    return _varied(color, _FAMILY_ARC, 0.15, _VARIANTS)


@lru_cache(256)
def _looks(color: Color) -> Float[np.ndarray, "n 3 3"]:
    """Return the variants of a colour as they are seen; differences of lightness count less."""
    return seen(_variants(color)) * _WEIGHTS


def _look(color: Color) -> Float[np.ndarray, "3 3"]:
    """Return a colour as it is seen, weighted as by `_looks`."""
    return (seen(np.array([color], np.uint8)) * _WEIGHTS)[0]


def _boxes_by_area(
    panoptic: PanopticMap, things: Int64[np.ndarray, " things"]
) -> dict[int, Float[np.ndarray, " 4"]]:
    """Return the approximate boxes of things, by their indices, from large to small."""
    height, width = panoptic.size
    factor = max(1.0, max(height, width) / _GRID)
    size = math.ceil(height / factor), math.ceil(width / factor)
    sketch = PanopticMap(resize_ids(panoptic.ids, size), panoptic.segments)
    order = things[np.argsort(-sketch.areas()[things], kind="stable")]
    return dict(zip(order.tolist(), factor * sketch.boxes()[order], strict=True))


def _separate(
    colors: UInt8[np.ndarray, "segments 3"],
    labels: Int64[np.ndarray, " segments"],
    boxes: Mapping[int, Float[np.ndarray, " 4"]],
    margin: float,
    known: Mapping[int, Color],
) -> None:
    """Give each thing in turn a variant of its colour far from those of its neighbours, in place.

    It shall also be unlike those of other things of the class, and like the colour of the class.

    Args:
        colors: Colours of the segments, at first those of their classes.
        labels: Labels of the segments.
        boxes: Boxes of the things by index, in order; those whose colours are known come first.
        margin: Largest gap between the boxes of neighbours.
        known: Colours that things have already, by index.
    """
    sides, looks = np.array([*boxes.values()]).reshape(-1, 4).T.copy(), np.zeros((len(boxes), 3, 3))
    of_class: dict[int, Float[np.ndarray, " n"]] = {}
    for turn, index in enumerate(boxes):
        color, label = _color(colors[index]), int(labels[index])
        options = _looks(color)
        alike = of_class.get(label, np.full(len(options), _FAR))
        if index in known:
            colors[index] = known[index]
            looks[turn] = _look(known[index])
            of_class[label] = np.minimum(alike, _gap(options, looks[turn]))
            continue
        beside = looks[_near(sides[:, :turn], sides[:, turn], margin)[:_MAX_NEIGHBOURS]]
        gaps = _gap(options[:, None], beside).min(axis=1, initial=_FAR)
        best = int((gaps + np.minimum(alike, _APART) - _strangeness(color)).argmax())
        looks[turn] = options[best]
        colors[index] = _variants(color)[best]
        of_class[label] = np.minimum(alike, _gap(options, options[best]))


def _near(
    sides: Float[np.ndarray, "4 n"], box: Float[np.ndarray, " 4"], margin: float
) -> Int64[np.ndarray, " near"]:
    """Find the boxes that are at most a margin away from another one; empty boxes are far away."""
    if not box[2]:
        return np.zeros(0, np.int64)
    left, top, right, bottom = sides
    near = (left <= box[2] + margin) & (top <= box[3] + margin) & (right > 0)
    near &= (right + margin >= box[0]) & (bottom + margin >= box[1])
    return np.flatnonzero(near)


def _gap(
    one: Float[np.ndarray, "*n 3 3"], other: Float[np.ndarray, "*m 3 3"]
) -> Float[np.ndarray, "*k"]:
    """Return the mean of the distance for most readers and the one for the colour-blind."""
    x, y, z = np.moveaxis(one - other, -1, 0)  # NumPy is slow at sums along short axes
    most, *others = np.moveaxis(np.sqrt(x * x + y * y + z * z), -1, 0)
    return (most + np.minimum(most, np.minimum(*others))) / 2


@lru_cache(256)
def _strangeness(color: Color) -> Float[np.ndarray, " n"]:
    """Return what a variant must gain in distance to be chosen instead of the colour itself."""
    looks = _looks(color)
    return _STRANGE * _gap(looks, looks[0])


def _color(color: UInt8[np.ndarray, " 3"]) -> Color:
    red, green, blue = color.tolist()
    return red, green, blue
