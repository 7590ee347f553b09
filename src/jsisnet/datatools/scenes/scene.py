"""Generated scenes: the photo, and the panoptic map that is true of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np

from jsisnet.arrays import Float32, UInt8
from jsisnet.datatools.scenes.layout import (
    MOUNTAIN,
    ROAD,
    SKY,
    WATER,
    Layout,
    Road,
    Thing,
    draw_layout,
)
from jsisnet.datatools.scenes.shapes import SHAPES
from jsisnet.datatools.scenes.textures import TEXTURES, Paint, Plane, asphalt, clouds, flat, mixed
from jsisnet.panoptic import VOID, PanopticMap, Segment

SIDES = (32, 10_000)
"""Shortest and longest side of a scene, in pixels."""

_SMALLEST = 1 / 1000
"""Part of the picture that a segment covers at least; what is smaller stays void."""

_SHADOW = 0.42
"""Darkness below things."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Placed:
    """Where a thing lies in the picture."""

    window: tuple[slice, slice]
    u: Plane
    v: Plane


class Scene:
    """One scene; the same at any number of pixels, but for the finest grain.

    Args:
        key: Numbers that decide all chance.
        size: Height and width in pixels.

    Raises:
        ValueError: If a side is too short or too long.
    """

    def __init__(self, key: tuple[int, ...], size: tuple[int, int]):
        if not all(SIDES[0] <= side <= SIDES[1] for side in size):
            raise ValueError(
                f"a scene of {size[0]}x{size[1]} pixels can't be drawn; "
                f"expected sides of {SIDES[0]} to {SIDES[1]}"
            )
        self.size = size
        self._unit = min(size)
        self._key = key
        self._layout: Layout = draw_layout(self._random(0), size[1] / size[0])

    def panoptic(self) -> PanopticMap:
        """Give the true map: one segment for each region, thing and crowd."""
        ids = np.full(self.size, VOID, np.int32)
        segments: list[Segment] = []
        for label, depth in self._regions():
            segments.append(Segment(label=label, isthing=False))
            ids[depth > 0] = len(segments)
        for group in self._layout.groups:
            segments.append(Segment(label=group[0].label, isthing=True, iscrowd=len(group) > 1))
            for thing in group:
                placed = self._placed(thing, 1.0)
                inside = SHAPES[thing.label].depth(thing, placed.u, placed.v) > 0
                ids[placed.window][inside] = len(segments)
        ids[self._post > -1] = VOID
        areas = np.bincount(ids.ravel(), minlength=len(segments) + 1)
        ids[(areas < _SMALLEST * ids.size)[ids]] = VOID
        return PanopticMap.compact(ids, segments)

    def photo(self) -> UInt8[np.ndarray, "h w 3"]:
        """Paint the scene."""
        picture = np.zeros((*self.size, 3), np.float32)
        for label, depth in self._regions():
            rows = np.flatnonzero((depth > -1).any(axis=1)).tolist()
            if rows:
                strip = slice(rows[0], rows[-1] + 1)
                _cover(picture[strip], self._texture(label, strip), depth[strip])
        for thing in chain.from_iterable(self._layout.groups):
            self._paint(picture, thing)
        metal = 0.3 + 0.25 * (self._post / self._unit)[..., None] * flat((20.0, 21.0, 22.0))
        _cover(picture, metal, self._post)
        random = self._random(2)
        picture *= np.float32(random.uniform(0.88, 1.08))
        picture += random.normal(0, 0.012, (*self.size, 1)).astype(np.float32)
        return (picture.clip(0, 1) * 255).round().astype(np.uint8)

    def _regions(self) -> Iterator[tuple[int, Plane]]:
        """List the stuff from back to front: label, and pixels inside the border."""
        layout, (height, width) = self._layout, self.size
        rows = np.arange(height, dtype=np.float32)[:, None]
        yield SKY, np.ones(self.size, np.float32)
        if layout.peaks is not None:
            ridge = 1 + 0.6 * self._wave(0.45)
            yield MOUNTAIN, rows - height * (layout.horizon - layout.peaks * ridge)
        begin = layout.horizon
        if layout.shore is not None:
            yield WATER, rows - np.full((1, width), height * begin, np.float32)
            begin = layout.shore
        ground = rows - height * begin - 0.025 * height * self._wave(0.3)
        yield layout.ground, ground
        if layout.road is not None:
            across, half_width = self._road(layout.road)
            yield ROAD, np.minimum((1 - abs(across)) * half_width, ground)

    def _wave(self, length: float) -> Float32[np.ndarray, "1 w"]:
        """Give a rolling line across the picture."""
        random = self._random(3, round(100 * length))
        cell = length * self._unit
        return clouds(random, (2, self.size[1]), (cell, cell))[:1]

    def _road(self, road: Road) -> tuple[Plane, Float32[np.ndarray, "h 1"]]:
        """Give the place between the road's borders, -1 to 1, and half its width in pixels."""
        height, width = self.size
        nearness = np.linspace(0, 1, height, dtype=np.float32)[:, None] - self._layout.horizon
        nearness = (nearness / (1 - self._layout.horizon)).clip(0, 1)
        half_width = width * road.half_width * (0.12 + 0.88 * nearness)
        centre = width * (road.far + (road.near - road.far) * nearness)
        return (np.arange(width, dtype=np.float32) - centre) / half_width, half_width

    def _texture(self, label: int, strip: slice) -> Paint:
        random = self._random(1, label)
        if self._layout.road is not None and label == ROAD:
            across, half_width = self._road(self._layout.road)
            dashes = 16 * np.log(half_width / half_width[-1] + 0.3).astype(np.float32)
            return asphalt(random, across[strip], dashes[strip], self._unit)
        return TEXTURES[label](random, (strip.stop - strip.start, self.size[1]), self._unit)

    def _placed(self, thing: Thing, margin: float) -> _Placed:
        """Give the window of the picture that a thing and a margin around it lie in."""
        radius = thing.radius * self._unit
        spans, axes = [], []
        for centre, side in zip((thing.y, thing.x), self.size, strict=True):
            middle, reach = centre * side, radius * margin + 1
            start = min(max(0, int(middle - reach)), side - 1)
            stop = min(max(start + 1, int(middle + reach) + 1), side)
            spans.append(slice(start, stop))
            axes.append((np.arange(start, stop, dtype=np.float32) + 0.5 - middle) / radius)
        v, u = np.meshgrid(*axes, indexing="ij")
        return _Placed(window=(spans[0], spans[1]), u=u, v=v)

    def _paint(self, picture: Paint, thing: Thing) -> None:
        """Put a thing on its shadow."""
        shape, pixels = SHAPES[thing.label], thing.radius * self._unit
        placed = self._placed(thing, 1.5)
        dark = 1 - np.hypot((placed.u - 0.2) / 1.15, (placed.v - 0.92) / 0.28)
        picture[placed.window] *= 1 - _SHADOW * (2.5 * dark).clip(0, 1)[..., None]
        placed = self._placed(thing, 1.0)
        paint = shape.paint(thing, placed.u, placed.v)
        _cover(picture[placed.window], paint, shape.depth(thing, placed.u, placed.v) * pixels)

    @cached_property
    def _post(self) -> Plane:
        """Give the pixels inside the lamp post."""
        post = self._layout.post
        if post is None:
            return np.full(self.size, -1, np.float32)
        columns = np.arange(self.size[1], dtype=np.float32) + 0.5 - post.x * self.size[1]
        line = post.half_width * self._unit - abs(columns)
        return line[None].repeat(self.size[0], axis=0)

    def _random(self, *purpose: int) -> np.random.Generator:
        return np.random.default_rng([*self._key, *purpose])


def _cover(picture: Paint, paint: Paint, depth: Plane) -> None:
    """Paint what lies inside a border, smoothly."""
    picture[:] = mixed(picture, paint, (depth + 0.5).clip(0, 1))
