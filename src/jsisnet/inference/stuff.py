"""Stuff classes of one image: which ones are large enough, and what replaces the others."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import numpy as np

from jsisnet.arrays import Bool, Float, Int, Int32
from jsisnet.inference.raster import NO_CHANNEL, Upsampled
from jsisnet.inference.rules import MergeConfig
from jsisnet.panoptic import row_strips

_log = logging.getLogger(__name__)

_STRIP = 1 << 16
"""Pixels that are counted or replaced at a time."""

Semantic = Float[np.ndarray, "k gh gw"] | Int32[np.ndarray, "h w"]
"""Logits of all labels on a grid, or the label of each pixel of the canvas."""


def large_stuff(
    free: Bool[np.ndarray, "h w"],
    semantic: Semantic,
    stuff_labels: Sequence[int],
    unit: Fraction,
    config: MergeConfig,
) -> Int[np.ndarray, "h w"]:
    """Assign to each free pixel the best of the stuff classes that are large enough.

    One pass is a fixed point: the classes that survive it can only grow, so a second one would
    remove nothing.

    Args:
        free: Pixels of the canvas that no instance owns.
        semantic: Logits or labels.
        stuff_labels: Labels that may be assigned, ascending; their positions are the channels.
        unit: Number of canvas pixels per unit of `config`'s areas.
        config: Rules and thresholds.

    Returns:
        Channel of each pixel, `NO_CHANNEL` where none is assigned.
    """
    min_area = Fraction(config.min_stuff_area) * unit
    if min_area > free.size:
        _warn_small_image(config)
    counted = free if config.count_stuff == "after_things" else np.ones_like(free)
    canvas = (free.shape[0], free.shape[1])
    channels: Upsampled | LabelMap
    if semantic.ndim == 3:  # noqa: PLR2004 - labels, height and width
        every = Upsampled.to(canvas, semantic)
        channels = every.channels(stuff_labels)
        if config.min_stuff_probability:
            counted = every.exceeds(config.min_stuff_probability, stuff_labels, counted)
    else:
        channels = LabelMap.of(semantic, stuff_labels)
    return _replace_small(channels, counted, len(stuff_labels), min_area, config)


def _replace_small(
    channels: "Upsampled | LabelMap",
    counted: Bool[np.ndarray, "h w"],
    count: int,
    min_area: Fraction,
    config: MergeConfig,
) -> Int[np.ndarray, "h w"]:
    """Choose the best channel of each pixel among those that cover at least `min_area` pixels."""
    stuff = channels.best(counted)
    areas = _areas(stuff, count)
    kept = [channel for channel, area in enumerate(areas) if area]
    while small := [channel for channel in kept if areas[channel] < min_area]:
        if config.replacement == "greedy":
            small = [min(reversed(small), key=areas.__getitem__)]
        kept = [channel for channel in kept if channel not in small]
        if not kept:
            argmax = config.fallback == "keep_argmax"
            return channels.best(counted) if argmax else np.full_like(stuff, NO_CHANNEL)
        issmall = np.isin(np.arange(count + 1), small)
        removed = np.empty(stuff.shape, bool)
        for strip in _strips(stuff):
            removed[strip] = issmall[stuff[strip]]
        numbers = np.array([*kept, NO_CHANNEL], stuff.dtype)
        for strip, best in channels.channels(kept).best_in_strips(removed):
            np.copyto(stuff[strip], numbers[best], where=removed[strip])
        areas = _areas(stuff, count)
    return stuff


def _areas(stuff: Int[np.ndarray, "h w"], channels: int) -> list[int]:
    """Count the pixels of each channel, in strips because NumPy counts in 64 bits."""
    areas = np.zeros(channels + 1, np.int64)
    for strip in _strips(stuff):
        areas += np.bincount((stuff[strip] - NO_CHANNEL).ravel(), minlength=channels + 1)
    counts: list[int] = areas[1:].tolist()
    return counts


def _strips(stuff: Int[np.ndarray, "h w"]) -> Iterator[slice]:
    return row_strips((stuff.shape[0], stuff.shape[1]), _STRIP)


@dataclass(frozen=True, slots=True, eq=False)
class LabelMap:
    """Hard labels where logits are expected, as `Upsampled`: there is no second-best class."""

    map: Int32[np.ndarray, "h w"]
    """Channel of each pixel, or `NO_CHANNEL`."""

    @classmethod
    def of(cls, labels: Int32[np.ndarray, "h w"], channels: Sequence[int]) -> "LabelMap":
        """Replace labels by their positions in `channels`; others become `NO_CHANNEL`."""
        table = np.full(int(labels.max()) + 1, NO_CHANNEL, np.int32)
        for channel, label in enumerate(channels):
            if label < len(table):
                table[label] = channel
        return cls(table[labels])

    def channels(self, channels: Sequence[int]) -> "LabelMap":
        """Select channels, which are renumbered in the given order."""
        return LabelMap.of(self.map + 1, [channel + 1 for channel in channels])

    def best(self, wanted: Bool[np.ndarray, "h w"]) -> Int32[np.ndarray, "h w"]:
        """Return the channel of each wanted pixel, or `NO_CHANNEL`."""
        return np.where(wanted, self.map, np.int32(NO_CHANNEL))

    def best_in_strips(
        self, wanted: Bool[np.ndarray, "h w"]
    ) -> Iterator[tuple[slice, Int32[np.ndarray, "rows w"]]]:
        """Yield what `best` returns in strips, each with its rows."""
        for rows in _strips(self.map):
            yield rows, np.where(wanted[rows], self.map[rows], np.int32(NO_CHANNEL))


@cache
def _warn_small_image(config: MergeConfig) -> None:
    _log.warning(
        "an image is smaller than min_stuff_area, %g, so all of its stuff is removed; for small "
        "images, give the area as a fraction of the image",
        config.min_stuff_area,
    )
