"""What stands where in a generated scene, before a pixel is drawn."""

import math
from dataclasses import dataclass

import numpy as np

from jsisnet.categories import Categories, Category

BALL, CRATE, RING, STAR, TREE, SKY, MOUNTAIN, WATER, GRASS, SAND, ROAD = range(11)
"""Labels of `CATEGORIES`."""

THINGS = (BALL, CRATE, RING, STAR, TREE)
"""Labels of what is drawn on top of the stuff."""

CATEGORIES = Categories(
    (
        Category(id=1, name="ball", isthing=True, color=(230, 60, 60), supercategory="toy"),
        Category(id=2, name="crate", isthing=True, color=(190, 120, 40), supercategory="furniture"),
        Category(id=3, name="ring", isthing=True, color=(250, 140, 200), supercategory="toy"),
        Category(id=4, name="star", isthing=True, color=(255, 200, 40), supercategory="toy"),
        Category(id=5, name="tree", isthing=True, color=(30, 110, 60), supercategory="plant"),
        Category(id=11, name="sky", isthing=False, color=(120, 188, 240), supercategory="backdrop"),
        Category(
            id=12, name="mountain", isthing=False, color=(130, 132, 108), supercategory="backdrop"
        ),
        Category(id=13, name="water", isthing=False, color=(48, 122, 186), supercategory="water"),
        Category(id=14, name="grass", isthing=False, color=(146, 204, 84), supercategory="ground"),
        Category(id=15, name="sand", isthing=False, color=(228, 204, 142), supercategory="ground"),
        Category(id=16, name="road", isthing=False, color=(118, 110, 158), supercategory="ground"),
    )
)
"""Five things and six stuff classes; merged by supercategory three of each."""


_MOST_THINGS = 7
_TRIES = 12
"""Places that are tried for one thing before the scene does without it."""

_HEAP = (6, 5, 3)
"""Members of a crowd, from the lowest row on."""

_CLOSEST = 0.62
"""Distance of two things' centres by the sum of their radii, at least: what lies behind is still
to be recognised."""

_ASHORE = (CRATE, TREE)
"""Things that don't swim."""

_NEAR, _FAR = 0.21, 0.085
"""Radius of a thing in front and at the horizon, by the shorter side of the picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Thing:
    """One object, or one of a crowd."""

    label: int
    """A class of things."""

    x: float
    """Centre by the width of the picture."""

    y: float
    """Centre by the height of the picture."""

    radius: float
    """By the shorter side of the picture."""

    angle: float
    """Turn in radians."""

    variant: float
    """Looks, 0 to 1."""

    seed: int
    """Of everything else that is random about it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Road:
    """A road from the horizon to the lower border, in parts of the width."""

    far: float
    near: float
    half_width: float
    """At the lower border."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Post:
    """A lamp post between camera and scene; it is of no class, so void."""

    x: float
    """Centre by the width of the picture."""

    half_width: float
    """By the shorter side of the picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """A scene in parts of the picture's sides, the same at any number of pixels."""

    horizon: float
    """By the height."""

    peaks: float | None
    """Height of the mountains by that of the picture; ``None`` without."""

    shore: float | None
    """Where water ends and ground begins, by the height; ``None`` without water."""

    ground: int
    """`GRASS` or `SAND`."""

    road: Road | None
    groups: tuple[tuple[Thing, ...], ...]
    """From the farthest to the nearest: single things, and crowds."""

    post: Post | None


def draw_layout(random: np.random.Generator, aspect: float) -> Layout:
    """Make up a scene.

    Args:
        random: Where all chance comes from.
        aspect: Width of the picture by its height.
    """
    horizon = random.uniform(0.28, 0.46)
    peaks = random.uniform(0.1, 0.2) if random.random() < 0.55 else None
    shore = horizon + random.uniform(0.14, 0.3) if random.random() < 0.5 else None
    ground = int(random.choice([GRASS, SAND]))
    road = None
    if random.random() < 0.45:
        road = Road(
            far=random.uniform(0.2, 0.8),
            near=random.uniform(0.1, 0.9),
            half_width=random.uniform(0.14, 0.24),
        )
    shores = horizon, horizon if shore is None else shore
    groups: list[tuple[Thing, ...]] = [(thing,) for thing in _things(random, shores, aspect)]
    if random.random() < 0.15:
        groups.append(_crowd(random, horizon, aspect))
    post = None
    if random.random() < 0.15:
        post = Post(x=random.uniform(0.08, 0.92), half_width=random.uniform(0.012, 0.025))
    return Layout(
        horizon=horizon,
        peaks=peaks,
        shore=shore,
        ground=ground,
        road=road,
        groups=tuple(sorted(groups, key=_foot)),
        post=post,
    )


def _things(random: np.random.Generator, shores: tuple[float, float], aspect: float) -> list[Thing]:
    """Scatter things between the far or the near shore and the camera."""
    placed: list[Thing] = []
    for _ in range(random.integers(2, _MOST_THINGS + 1)):
        for _ in range(_TRIES):
            thing = _thing(random, shores, aspect)
            if all(_apart(thing, other, aspect) for other in placed):
                placed.append(thing)
                break
    return placed


def _thing(random: np.random.Generator, shores: tuple[float, float], aspect: float) -> Thing:
    label = int(random.choice(THINGS))
    depth = random.uniform(0.12, 1.0)
    radius = (_FAR + (_NEAR - _FAR) * depth) * random.uniform(0.8, 1.25)
    if label == TREE:
        radius *= 1.35
    begin = shores[label in _ASHORE]
    foot = begin + (1.04 - begin) * depth
    return Thing(
        label=label,
        x=random.uniform(0.0, 1.0),
        y=foot - _down(radius, aspect),
        radius=radius,
        angle=random.uniform(-0.35, 0.35) * (label != TREE),
        variant=random.random(),
        seed=int(random.integers(2**31)),
    )


def _crowd(random: np.random.Generator, horizon: float, aspect: float) -> tuple[Thing, ...]:
    """Heap up balls or stars, too many to be told apart."""
    label = int(random.choice([BALL, STAR]))
    x, foot = random.uniform(0.1, 0.9), horizon + (1 - horizon) * random.uniform(0.2, 0.6)
    radius = random.uniform(0.03, 0.04)
    members = []
    rows = [
        (row, place - (many - 1) / 2) for row, many in enumerate(_HEAP) for place in range(many)
    ]
    for row, place in rows:
        members.append(
            Thing(
                label=label,
                x=x + _across(place * 1.7 * radius, aspect) + random.normal(0, 0.004),
                y=foot - _down(radius * (1 + 1.3 * row), aspect),
                radius=radius,
                angle=random.uniform(-math.pi, math.pi),
                variant=random.random(),
                seed=int(random.integers(2**31)),
            )
        )
    return tuple(members)


def _apart(thing: Thing, other: Thing, aspect: float) -> bool:
    distance = math.hypot(
        (thing.x - other.x) / _across(1.0, aspect), (thing.y - other.y) / _down(1.0, aspect)
    )
    return distance > _CLOSEST * (thing.radius + other.radius)


def _foot(group: tuple[Thing, ...]) -> float:
    return max(thing.y + thing.radius for thing in group)


def _down(length: float, aspect: float) -> float:
    """Turn parts of the shorter side into parts of the height."""
    return length * min(1.0, aspect)


def _across(length: float, aspect: float) -> float:
    """Turn parts of the shorter side into parts of the width."""
    return length * min(1.0, 1 / aspect)
