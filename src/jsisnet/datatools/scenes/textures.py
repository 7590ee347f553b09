"""Textures of the stuff in generated scenes."""

import math
from collections.abc import Callable

import numpy as np
from PIL import Image

from jsisnet.arrays import Float32
from jsisnet.datatools.scenes.layout import GRASS, MOUNTAIN, SAND, SKY, WATER

Plane = Float32[np.ndarray, "h w"]
Paint = Float32[np.ndarray, "h w 3"]
"""Colours from 0 to 1."""
Colors = Float32[np.ndarray, "#h #w 3"]
"""Colours of each pixel, or of all."""
Color = Float32[np.ndarray, "1 1 3"]
"""One colour for all pixels."""

_SKIES = (
    ((0.25, 0.50, 0.86), (0.74, 0.87, 0.97)),
    ((0.36, 0.62, 0.90), (0.86, 0.93, 0.98)),
    ((0.52, 0.58, 0.66), (0.80, 0.83, 0.86)),
    ((0.35, 0.36, 0.62), (0.99, 0.72, 0.48)),
    ((0.55, 0.42, 0.62), (0.99, 0.80, 0.66)),
)
_MOUNTAINS = ((0.42, 0.44, 0.52), (0.47, 0.40, 0.36), (0.36, 0.43, 0.46))
_WATERS = ((0.10, 0.38, 0.62), (0.08, 0.48, 0.56), (0.30, 0.46, 0.60), (0.14, 0.30, 0.46))
_GRASSES = ((0.32, 0.56, 0.16), (0.44, 0.60, 0.20), (0.60, 0.58, 0.26), (0.22, 0.46, 0.20))
_SANDS = ((0.88, 0.77, 0.54), (0.82, 0.68, 0.46), (0.93, 0.86, 0.70))
_ROADS = ((0.36, 0.36, 0.38), (0.46, 0.45, 0.45), (0.44, 0.38, 0.36))


def noise(random: np.random.Generator, size: tuple[int, int], cell: tuple[float, float]) -> Plane:
    """Return smooth noise, mostly between -1 and 1.

    Args:
        random: Random generator.
        size: Height and width in pixels.
        cell: Height and width of a noise cell in pixels.
    """
    grid = [max(2, math.ceil(length / step) + 1) for length, step in zip(size, cell, strict=True)]
    values = random.uniform(-1.6, 1.6, grid).astype(np.float32)
    smooth = Image.fromarray(values).resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return np.asarray(smooth)


def clouds(random: np.random.Generator, size: tuple[int, int], cell: tuple[float, float]) -> Plane:
    """Return fractal noise: four octaves, each finer and weaker than the last."""
    total = np.zeros(size, np.float32)
    for octave in range(4):
        scale = 0.5**octave
        total += noise(random, size, (cell[0] * scale, cell[1] * scale)) * 0.55**octave
    return total


def mixed(first: Colors, second: Colors, share: Plane) -> Paint:
    """Blend two paints; a share of 1 gives the second one."""
    return first + (second - first) * share[..., None]


def flat(color: tuple[float, float, float]) -> Color:
    """Return one colour for all pixels."""
    return np.array(color, np.float32)[None, None]


def pick(random: np.random.Generator, colors: tuple[tuple[float, float, float], ...]) -> Color:
    """Return one of the colours, slightly varied."""
    color = flat(colors[random.integers(len(colors))])
    return color + random.uniform(-0.04, 0.04, 3).astype(np.float32)


def sky(random: np.random.Generator, size: tuple[int, int], unit: int) -> Paint:
    """Paint a sky that is paler at the horizon, with clouds."""
    top, bottom = _SKIES[random.integers(len(_SKIES))]
    height = np.linspace(0, 1, size[0], dtype=np.float32)[:, None].repeat(size[1], axis=1)
    air = mixed(flat(top), flat(bottom), height)
    cover = clouds(random, size, (0.16 * unit, 0.4 * unit)) - random.uniform(0.0, 1.0)
    return mixed(air, np.float32(1) - (1 - air) * 0.15, np.clip(cover, 0, 0.85).astype(np.float32))


def mountain(random: np.random.Generator, size: tuple[int, int], unit: int) -> Paint:
    """Paint folded rock."""
    folds = clouds(random, size, (0.12 * unit, 0.05 * unit))
    grain = noise(random, size, (0.012 * unit, 0.012 * unit))
    return pick(random, _MOUNTAINS) * (1 + 0.22 * folds + 0.08 * grain)[..., None]


def water(random: np.random.Generator, size: tuple[int, int], unit: int) -> Paint:
    """Paint waves with highlights on the crests."""
    waves = noise(random, size, (0.018 * unit, 0.16 * unit))
    waves = waves + 0.7 * noise(random, size, (0.012 * unit, 0.06 * unit))
    tone = pick(random, _WATERS) * (1 + 0.16 * waves)[..., None]
    return mixed(tone, flat((0.92, 0.97, 1.0)), np.clip(0.9 * waves - 0.95, 0, 0.8))


def grass(random: np.random.Generator, size: tuple[int, int], unit: int) -> Paint:
    """Paint upright blades in patches."""
    blades = noise(random, size, (0.05 * unit, 0.013 * unit))
    patches = clouds(random, size, (0.16 * unit, 0.3 * unit))
    light = (1 + 0.2 * blades + 0.1 * patches)[..., None]
    return pick(random, _GRASSES) * light + 0.05 * patches[..., None] * flat((1.0, 0.6, -0.3))


def sand(random: np.random.Generator, size: tuple[int, int], unit: int) -> Paint:
    """Paint grains on low dunes."""
    dunes = clouds(random, size, (0.1 * unit, 0.4 * unit))
    grains = noise(random, size, (0.011 * unit, 0.011 * unit))
    return pick(random, _SANDS) * (1 + 0.06 * dunes + 0.06 * grains)[..., None]


def asphalt(
    random: np.random.Generator, across: Plane, along: Float32[np.ndarray, "h 1"], unit: int
) -> Paint:
    """Paint a road with white edges and a dashed centre line.

    Args:
        random: Random generator.
        across: Position across the road, -1 to 1 between its edges.
        along: Distance along the road, in periods of the dashed line.
        unit: Shorter side of the image in pixels.
    """
    size = (across.shape[0], across.shape[1])
    grain = noise(random, size, (0.01 * unit, 0.01 * unit))
    wear = clouds(random, size, (0.2 * unit, 0.2 * unit))
    stone = pick(random, _ROADS) * (1 + 0.1 * grain + 0.08 * wear)[..., None]
    line = np.clip(2 - abs(across) / 0.035, 0, 1) * (along % 1 < 0.55)
    edge = np.clip(2 - abs(abs(across) - 0.88) / 0.025, 0, 1)
    return mixed(stone, flat((0.93, 0.92, 0.88)), 0.85 * np.maximum(line, edge).astype(np.float32))


TEXTURES: dict[int, Callable[[np.random.Generator, tuple[int, int], int], Paint]] = {
    SKY: sky,
    MOUNTAIN: mountain,
    WATER: water,
    GRASS: grass,
    SAND: sand,
}
"""Painter of each stuff class; takes generator, size and shorter side of the image in pixels."""
