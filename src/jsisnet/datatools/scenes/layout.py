"""Layout of a generated scene: regions and things, in units relative to the image."""

import math
from dataclasses import dataclass

import numpy as np

from jsisnet.categories import Categories, Category

BALL, CRATE, RING, STAR, TREE, SKY, MOUNTAIN, WATER, GRASS, SAND, ROAD = range(11)
"""Labels of `CATEGORIES`."""

THINGS = (BALL, CRATE, RING, STAR, TREE)
"""Labels of the thing classes."""

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
"""Five thing and six stuff classes; three of each when merged by supercategory."""

_MAX_THINGS = 7
_MAX_TRIES = 12
"""Positions to try for a thing before it is left out."""

_CROWD_ROWS = (6, 5, 3)
"""Numbers of things in the rows of a crowd, from bottom to top."""

_MIN_DISTANCE = 0.62
"""Least distance between the centres of two things, relative to the sum of their radii, so that the
one behind remains recognisable."""

_LAND_THINGS = (CRATE, TREE)
"""Things that do not float on water."""

_NEAR_RADIUS, _FAR_RADIUS = 0.21, 0.085
"""Radius of a thing in the foreground and at the horizon, relative to the shorter side."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Thing:
    """A single object, or one of a crowd."""

    label: int
    """Class of the thing."""

    x: float
    """Centre, relative to the image width."""

    y: float
    """Centre, relative to the image height."""

    radius: float
    """Radius, relative to the shorter side."""

    angle: float
    """Rotation in radians."""

    variant: float
    """Variation of colour and shape, 0 to 1."""

    seed: int
    """Seed of its other random properties."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Road:
    """A road from the horizon to the bottom edge, in units of the image width."""

    far: float
    """Centre at the horizon."""

    near: float
    """Centre at the bottom edge."""

    half_width: float
    """Half the width at the bottom edge."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Post:
    """A lamp post in front of the scene; it has no class, so its pixels are void."""

    x: float
    """Centre, relative to the image width."""

    half_width: float
    """Half the width, relative to the shorter side."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneLayout:
    """A scene in relative units, independent of the resolution."""

    horizon: float
    """Row of the horizon, relative to the image height."""

    peaks: float | None
    """Height of the mountains, relative to the image height; ``None`` without mountains."""

    shore: float | None
    """Row where the ground begins, relative to the image height; ``None`` without water."""

    ground: int
    """`GRASS` or `SAND`."""

    road: Road | None
    """The road, if there is one."""

    groups: tuple[tuple[Thing, ...], ...]
    """Single things and crowds, from back to front."""

    post: Post | None
    """The lamp post, if there is one."""


def sample_layout(random: np.random.Generator, aspect: float) -> SceneLayout:
    """Sample a random scene.

    Args:
        random: Random generator.
        aspect: Width of the image divided by its height.
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
    groups: list[tuple[Thing, ...]] = [(thing,) for thing in _sample_things(random, shores, aspect)]
    if random.random() < 0.15:
        groups.append(_sample_crowd(random, horizon, aspect))
    post = None
    if random.random() < 0.15:
        post = Post(x=random.uniform(0.08, 0.92), half_width=random.uniform(0.012, 0.025))
    return SceneLayout(
        horizon=horizon,
        peaks=peaks,
        shore=shore,
        ground=ground,
        road=road,
        groups=tuple(sorted(groups, key=_lowest_point)),
        post=post,
    )


def _sample_things(
    random: np.random.Generator, shores: tuple[float, float], aspect: float
) -> list[Thing]:
    """Place things at random between the horizon, or the shore for land things, and the camera."""
    placed: list[Thing] = []
    for _ in range(random.integers(2, _MAX_THINGS + 1)):
        for _ in range(_MAX_TRIES):
            thing = _sample_thing(random, shores, aspect)
            if all(_far_enough(thing, other, aspect) for other in placed):
                placed.append(thing)
                break
    return placed


def _sample_thing(random: np.random.Generator, shores: tuple[float, float], aspect: float) -> Thing:
    label = int(random.choice(THINGS))
    depth = random.uniform(0.12, 1.0)
    radius = (_FAR_RADIUS + (_NEAR_RADIUS - _FAR_RADIUS) * depth) * random.uniform(0.8, 1.25)
    if label == TREE:
        radius *= 1.35
    begin = shores[label in _LAND_THINGS]
    foot = begin + (1.04 - begin) * depth
    return Thing(
        label=label,
        x=random.uniform(0.0, 1.0),
        y=foot - _to_height(radius, aspect),
        radius=radius,
        angle=random.uniform(-0.35, 0.35) * (label != TREE),
        variant=random.random(),
        seed=int(random.integers(2**31)),
    )


def _sample_crowd(random: np.random.Generator, horizon: float, aspect: float) -> tuple[Thing, ...]:
    """Pile up small balls or stars as a crowd."""
    label = int(random.choice([BALL, STAR]))
    x, foot = random.uniform(0.1, 0.9), horizon + (1 - horizon) * random.uniform(0.2, 0.6)
    radius = random.uniform(0.03, 0.04)
    members = []
    rows = [
        (row, column - (many - 1) / 2)
        for row, many in enumerate(_CROWD_ROWS)
        for column in range(many)
    ]
    for row, column in rows:
        members.append(
            Thing(
                label=label,
                x=x + _to_width(column * 1.7 * radius, aspect) + random.normal(0, 0.004),
                y=foot - _to_height(radius * (1 + 1.3 * row), aspect),
                radius=radius,
                angle=random.uniform(-math.pi, math.pi),
                variant=random.random(),
                seed=int(random.integers(2**31)),
            )
        )
    return tuple(members)


def _far_enough(thing: Thing, other: Thing, aspect: float) -> bool:
    distance = math.hypot(
        (thing.x - other.x) / _to_width(1.0, aspect), (thing.y - other.y) / _to_height(1.0, aspect)
    )
    return distance > _MIN_DISTANCE * (thing.radius + other.radius)


def _lowest_point(group: tuple[Thing, ...]) -> float:
    return max(thing.y + thing.radius for thing in group)


def _to_height(length: float, aspect: float) -> float:
    """Convert a length relative to the shorter side to one relative to the height."""
    return length * min(1.0, aspect)


def _to_width(length: float, aspect: float) -> float:
    """Convert a length relative to the shorter side to one relative to the width."""
    return length * min(1.0, 1 / aspect)
