"""A generated scene: its photo and the exact panoptic map."""

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
    Road,
    SceneLayout,
    Thing,
    sample_layout,
)
from jsisnet.datatools.scenes.shapes import SHAPES
from jsisnet.datatools.scenes.textures import TEXTURES, Paint, Plane, asphalt, clouds, flat, mixed
from jsisnet.panoptic import VOID, PanopticMap, Segment

SIDE_LIMITS = (32, 10_000)
"""Least and greatest height or width of a scene in pixels."""

_MIN_SHARE = 1 / 1000
"""Least fraction of the image that a segment covers; smaller ones become void."""

_SHADOW = 0.42
"""Darkness of the shadows below things, 0 to 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Window:
    """Part of the image around a thing."""

    slices: tuple[slice, slice]
    """Rows and columns."""

    u: Plane
    """Horizontal coordinates of the pixels, in radii from the centre of the thing."""

    v: Plane
    """Vertical coordinates."""


class Scene:
    """A random scene, whose content does not depend on its resolution.

    Args:
        key: Seed of the scene.
        size: Height and width in pixels.

    Raises:
        ValueError: If the height or width is out of range.
    """

    def __init__(self, key: tuple[int, ...], size: tuple[int, int]):
        if not all(SIDE_LIMITS[0] <= side <= SIDE_LIMITS[1] for side in size):
            raise ValueError(
                f"a scene of {size[0]}x{size[1]} pixels is not possible; "
                f"expected sides of {SIDE_LIMITS[0]} to {SIDE_LIMITS[1]}"
            )
        self.size = size
        self._unit = min(size)
        self._key = key
        self._layout: SceneLayout = sample_layout(self._random(0), size[1] / size[0])

    def panoptic(self) -> PanopticMap:
        """Return the ground truth: one segment for each region, thing and crowd."""
        ids = np.full(self.size, VOID, np.int32)
        segments: list[Segment] = []
        for label, depth in self._regions():
            segments.append(Segment(label=label, isthing=False))
            ids[depth > 0] = len(segments)
        for group in self._layout.groups:
            segments.append(Segment(label=group[0].label, isthing=True, iscrowd=len(group) > 1))
            for thing in group:
                window = self._window(thing, 1.0)
                inside = SHAPES[thing.label].depth(thing, window.u, window.v) > 0
                ids[window.slices][inside] = len(segments)
        ids[self._post > -1] = VOID
        areas = np.bincount(ids.ravel(), minlength=len(segments) + 1)
        ids[(areas < _MIN_SHARE * ids.size)[ids]] = VOID
        return PanopticMap.compact(ids, segments)

    def photo(self) -> UInt8[np.ndarray, "h w 3"]:
        """Return the photo as 8-bit RGB."""
        image = np.zeros((*self.size, 3), np.float32)
        for label, depth in self._regions():
            rows = np.flatnonzero((depth > -1).any(axis=1)).tolist()
            if rows:
                strip = slice(rows[0], rows[-1] + 1)
                _cover(image[strip], self._texture(label, strip), depth[strip])
        for thing in chain.from_iterable(self._layout.groups):
            self._paint(image, thing)
        metal = 0.3 + 0.25 * (self._post / self._unit)[..., None] * flat((20.0, 21.0, 22.0))
        _cover(image, metal, self._post)
        random = self._random(2)
        image *= np.float32(random.uniform(0.88, 1.08))
        image += random.normal(0, 0.012, (*self.size, 1)).astype(np.float32)
        return (image.clip(0, 1) * 255).round().astype(np.uint8)

    def _regions(self) -> Iterator[tuple[int, Plane]]:
        """Yield each stuff region from back to front: label, and depth inside its border."""
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
        """Return a smooth random curve across the image."""
        random = self._random(3, round(100 * length))
        cell = length * self._unit
        return clouds(random, (2, self.size[1]), (cell, cell))[:1]

    def _road(self, road: Road) -> tuple[Plane, Float32[np.ndarray, "h 1"]]:
        """Return the position across the road, -1 to 1, and half its width in pixels."""
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

    def _window(self, thing: Thing, scale: float) -> _Window:
        """Return the part of the image within a multiple of the radius of a thing."""
        radius = thing.radius * self._unit
        spans, axes = [], []
        for centre, side in zip((thing.y, thing.x), self.size, strict=True):
            middle, reach = centre * side, radius * scale + 1
            start = min(max(0, int(middle - reach)), side - 1)
            stop = min(max(start + 1, int(middle + reach) + 1), side)
            spans.append(slice(start, stop))
            axes.append((np.arange(start, stop, dtype=np.float32) + 0.5 - middle) / radius)
        v, u = np.meshgrid(*axes, indexing="ij")
        return _Window(slices=(spans[0], spans[1]), u=u, v=v)

    def _paint(self, image: Paint, thing: Thing) -> None:
        """Paint a thing and its shadow."""
        shape, pixels = SHAPES[thing.label], thing.radius * self._unit
        window = self._window(thing, 1.5)
        dark = 1 - np.hypot((window.u - 0.2) / 1.15, (window.v - 0.92) / 0.28)
        image[window.slices] *= 1 - _SHADOW * (2.5 * dark).clip(0, 1)[..., None]
        window = self._window(thing, 1.0)
        paint = shape.paint(thing, window.u, window.v)
        _cover(image[window.slices], paint, shape.depth(thing, window.u, window.v) * pixels)

    @cached_property
    def _post(self) -> Plane:
        """Depth inside the lamp post in pixels; negative outside."""
        post = self._layout.post
        if post is None:
            return np.full(self.size, -1, np.float32)
        columns = np.arange(self.size[1], dtype=np.float32) + 0.5 - post.x * self.size[1]
        line = post.half_width * self._unit - abs(columns)
        return line[None].repeat(self.size[0], axis=0)

    def _random(self, *purpose: int) -> np.random.Generator:
        return np.random.default_rng([*self._key, *purpose])


def _cover(image: Paint, paint: Paint, depth: Plane) -> None:
    """Paint over the pixels inside a border, with a soft edge."""
    image[:] = mixed(image, paint, (depth + 0.5).clip(0, 1))
