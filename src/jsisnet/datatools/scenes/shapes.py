"""Outlines and paints of the things in generated scenes.

Coordinates are relative to a thing: u to the right and v down, in radii from its centre.
"""

import colorsys
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from jsisnet.datatools.scenes.layout import BALL, CRATE, RING, STAR, TREE, Thing
from jsisnet.datatools.scenes.textures import Color, Paint, Plane, flat, mixed, noise

_LIGHT = (-0.48, -0.62, 0.62)
"""Direction of the sun: right, down and towards the camera."""

_WHITE = (0.96, 0.95, 0.92)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """Appearance of the things of a class."""

    depth: Callable[[Thing, Plane, Plane], Plane]
    """Distance inside the outline in radii; negative outside."""

    paint: Callable[[Thing, Plane, Plane], Paint]
    """Colours from 0 to 1; arbitrary outside the outline."""


def _ball(_: Thing, u: Plane, v: Plane) -> Plane:
    return 1 - np.hypot(u, v)


def _ball_paint(thing: Thing, u: Plane, v: Plane) -> Paint:
    """Paint a sphere with stripes from pole to pole."""
    u, v = _rotate(u, v, thing.angle * 3)
    w = np.sqrt(np.clip(1 - u * u - v * v, 0, 1))
    sector = np.floor(np.arctan2(u - 0.25, w + 0.35 * v) * (6 / math.pi))
    stripes = mixed(_color(thing, 0.85, 0.9), flat(_WHITE), (sector % 2).astype(np.float32))
    x, y = _rotate(u, v, -thing.angle * 3)
    light = x * _LIGHT[0] + y * _LIGHT[1] + w * _LIGHT[2]
    shine = np.clip(light - 0.93, 0, 1) * 9
    return mixed(stripes * (0.45 + 0.6 * light.clip(0))[..., None], flat(_WHITE), shine.clip(0, 1))


def _crate(thing: Thing, u: Plane, v: Plane) -> Plane:
    u, v = _rotate(u, v, thing.angle)
    return np.minimum(0.86 - abs(u), 0.66 + 0.2 * np.float32(thing.variant) - abs(v))


def _crate_paint(thing: Thing, u: Plane, v: Plane) -> Paint:
    """Paint planks in a frame with a diagonal brace."""
    depth = _crate(thing, u, v)
    u, v = _rotate(u, v, thing.angle)
    random = np.random.default_rng(thing.seed)
    wood = np.array([random.uniform(0.55, 0.8), random.uniform(0.38, 0.5), 0.2], np.float32)
    if random.random() < 0.35:
        wood += 0.6 * (_color(thing, 0.5, 0.7)[0, 0] - wood)
    span = max(u.shape) / 10
    grain = noise(random, (u.shape[0], u.shape[1]), (max(1.0, span / 4), max(1.0, span * 3)))
    gaps = abs((v * 2.4) % 1 - 0.5) > 0.44
    frame = (depth < 0.17) | (abs(u - v) < 0.13)
    light = np.where(frame, 1.12, np.where(gaps, 0.5, 0.85)) + 0.07 * grain - 0.13 * v
    seam = np.clip(1 - abs(depth - 0.17) / 0.035, 0, 1) * 0.35
    return wood * (light - seam)[..., None].astype(np.float32)


def _ring(_: Thing, u: Plane, v: Plane) -> Plane:
    return np.float32(0.3) - abs(np.hypot(u, v) - np.float32(0.7))


def _ring_paint(thing: Thing, u: Plane, v: Plane) -> Paint:
    """Paint a tube with bands of two colours."""
    angle = np.arctan2(v, u) + np.float32(thing.angle)
    bands = (angle * (4 / math.pi)) % 2 < 0.8
    tube = np.clip((np.hypot(u, v) - 0.7) / 0.3, -1, 1)
    length = np.hypot(u, v) + 1e-6
    out = (u * _LIGHT[0] + v * _LIGHT[1]) / length * tube
    light = 0.5 + 0.6 * (out + np.sqrt(1 - tube * tube) * _LIGHT[2]).clip(0)
    both = mixed(_color(thing, 0.8, 0.92), flat(_WHITE), bands.astype(np.float32))
    return both * light[..., None].astype(np.float32)


def _star(thing: Thing, u: Plane, v: Plane) -> Plane:
    along, across, _ = _arm(thing, u, v)
    inner = 0.5
    x, y = inner * math.cos(math.pi / 5), inner * math.sin(math.pi / 5)
    return (y * (1 - along) - (1 - x) * across) / np.float32(math.hypot(y, 1 - x))


def _star_paint(thing: Thing, u: Plane, v: Plane) -> Paint:
    """Paint a star whose arms are folded along a ridge."""
    _, across, side = _arm(thing, u, v)
    facing = np.where(side > 0, 1.0, 0.62) + 0.12 * (_LIGHT[0] * u + _LIGHT[1] * v)
    ridge = np.clip(1 - across / 0.04, 0, 1) * 0.18
    return _color(thing, 0.75, 0.97) * (facing + ridge)[..., None].astype(np.float32)


def _arm(thing: Thing, u: Plane, v: Plane) -> tuple[Plane, Plane, Plane]:
    """Return the positions along and across the nearest arm of a star, and the side of the arm."""
    fifth = 2 * math.pi / 5
    angle = np.arctan2(u, -v) - np.float32(thing.angle)
    around = (angle + fifth / 2) % fifth - fifth / 2
    distance = np.hypot(u, v)
    return distance * np.cos(around), abs(distance * np.sin(around)), np.sign(around)


def _tree(thing: Thing, u: Plane, v: Plane) -> Plane:
    return np.maximum(_crown(thing, u, v), _trunk(u, v))


def _trunk(u: Plane, v: Plane) -> Plane:
    return np.minimum(0.08 + 0.05 * v - abs(u), np.minimum(1 - v, v))


def _crown(thing: Thing, u: Plane, v: Plane) -> Plane:
    if thing.variant < 0.4:
        # A spruce: three overlapping triangles.
        tops = (-1.0, -0.62, -0.2)
        tiers = [
            np.minimum((v - top) * 0.5 - abs(u) * 0.87, (top + 0.42 + 0.2 * i) * 1.0 + 0.18 - v)
            for i, top in enumerate(tops)
        ]
        return np.maximum.reduce(tiers).astype(np.float32)
    random = np.random.default_rng(thing.seed)
    spots = [(0.0, -0.4, 0.56), (-0.38, -0.16, 0.38), (0.38, -0.16, 0.38)]
    spots += [(random.uniform(-0.3, 0.3), random.uniform(-0.65, -0.5), 0.34)]
    leaves = [radius - np.hypot(u - x, v - y) for x, y, radius in spots]
    ruffle = 0.025 * np.sin(np.arctan2(v + 0.3, u) * 17)
    return (np.maximum.reduce(leaves) + ruffle).astype(np.float32)


def _tree_paint(thing: Thing, u: Plane, v: Plane) -> Paint:
    """Paint speckled leaves in front of a dark trunk."""
    random = np.random.default_rng(thing.seed + 1)
    size, span = (u.shape[0], u.shape[1]), max(u.shape) / 26
    speckle = noise(random, size, (max(1.0, span), max(1.0, span)))
    hue = random.uniform(0.24, 0.38) if random.random() < 0.75 else random.uniform(0.02, 0.1)
    green = flat(colorsys.hsv_to_rgb(hue, random.uniform(0.55, 0.8), random.uniform(0.4, 0.62)))
    light = 0.95 + 0.25 * speckle - 0.3 * (v + 0.35) - 0.22 * u
    bark = flat((0.36, 0.25, 0.17)) * (1 - 2.2 * u[..., None])
    return mixed(bark, green * light[..., None], (_crown(thing, u, v) > 0).astype(np.float32))


def _rotate(u: Plane, v: Plane, angle: float) -> tuple[Plane, Plane]:
    cosine, sine = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    return u * cosine + v * sine, v * cosine - u * sine


def _color(thing: Thing, saturation: float, value: float) -> Color:
    return flat(colorsys.hsv_to_rgb(thing.variant, saturation, value))


SHAPES = {
    BALL: Shape(depth=_ball, paint=_ball_paint),
    CRATE: Shape(depth=_crate, paint=_crate_paint),
    RING: Shape(depth=_ring, paint=_ring_paint),
    STAR: Shape(depth=_star, paint=_star_paint),
    TREE: Shape(depth=_tree, paint=_tree_paint),
}
"""Appearance of each thing class, by label."""
