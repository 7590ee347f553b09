"""The stuff of one image: which classes are large enough, and what becomes of the others."""

import logging
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import torch
from torch import Tensor

from jsisnet.arrays import Bool, Float, Int32
from jsisnet.inference.raster import NO_CHANNEL, Upsampled
from jsisnet.inference.rules import MergeConfig


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """A map of channels that is asked the same questions as `Upsampled` logits."""

    map: Int32[Tensor, "h w"]
    """Channel of each pixel, or `NO_CHANNEL`."""

    @classmethod
    def of(cls, labels: Int32[Tensor, "h w"], channels: list[int]) -> "Labelled":
        """Turn labels into their positions in a list; those that it lacks are no channel."""
        table = labels.new_full((int(labels.max()) + 1,), NO_CHANNEL)
        known = [(label, channel) for channel, label in enumerate(channels) if label < len(table)]
        for label, channel in known:
            table[label] = channel
        return cls(table[labels])

    def channels(self, channels: list[int]) -> "Labelled":
        """Keep some channels only."""
        return Labelled.of(self.map + 1, [channel + 1 for channel in channels])

    def best(self, wanted: Bool[Tensor, "h w"]) -> Int32[Tensor, "h w"]:
        """Give the channel of each wanted pixel, or `NO_CHANNEL`."""
        return torch.where(wanted, self.map, NO_CHANNEL)


_log = logging.getLogger(__name__)

Semantic = Float[Tensor, "k gh gw"] | Int32[Tensor, "h w"]
"""Logits of all labels on a grid, or the label of each pixel of the canvas."""


def large_stuff(
    free: Bool[Tensor, "h w"],
    semantic: Semantic,
    stuff_labels: list[int],
    unit: Fraction,
    config: MergeConfig,
) -> Int32[Tensor, "h w"]:
    """Give each free pixel the best of the stuff classes that cover enough, as a stuff channel.

    One pass is a fixed point: classes that survive it can only grow, so a second one would remove
    nothing.

    Args:
        free: Pixels of the canvas that no instance owns.
        semantic: Logits or labels.
        stuff_labels: Labels that may be given, ascending; their positions are the channels.
        unit: Pixels of the canvas that one of the configured areas stands for.
        config: Rules and thresholds.

    Returns:
        A channel for each pixel, `NO_CHANNEL` for those that get none.
    """
    min_area = Fraction(config.min_stuff_area) * unit
    if min_area > free.numel():
        _warn_small_image(config)
    counted = free if config.count_stuff == "after_things" else torch.ones_like(free)
    canvas = (free.shape[0], free.shape[1])
    if not semantic.is_floating_point():
        logits: Upsampled | Labelled = Labelled.of(semantic, stuff_labels)
    else:
        logits = Upsampled.to(canvas, semantic[stuff_labels])
    if config.min_stuff_probability:
        counted = Upsampled.to(canvas, semantic).exceeds(
            config.min_stuff_probability, stuff_labels, counted
        )
    first = stuff = logits.best(counted)
    areas = _areas(stuff, len(stuff_labels))
    kept = [channel for channel, area in enumerate(areas) if area]
    while small := [channel for channel in kept if areas[channel] < min_area]:
        if config.replacement == "greedy":
            small = [min(reversed(small), key=areas.__getitem__)]
        kept = [channel for channel in kept if channel not in small]
        if not kept:
            return first if config.fallback == "keep_argmax" else torch.full_like(first, NO_CHANNEL)
        removed = torch.isin(stuff, stuff.new_tensor(small))
        best = logits.channels(kept).best(removed)
        stuff = torch.where(removed, stuff.new_tensor([*kept, NO_CHANNEL])[best], stuff)
        areas = _areas(stuff, len(stuff_labels))
    return stuff


def _areas(stuff: Int32[Tensor, "h w"], channels: int) -> list[int]:
    shifted = stuff.flatten() - NO_CHANNEL
    areas: list[int] = shifted.bincount(minlength=channels + 1)[1:].tolist()
    return areas


@cache
def _warn_small_image(config: MergeConfig) -> None:
    _log.warning(
        "an image is smaller than the smallest area of stuff, %g, so that all of its stuff is "
        "removed; for small images give the area as a part of the image",
        config.min_stuff_area,
    )
