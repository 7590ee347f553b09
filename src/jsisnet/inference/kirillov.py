"""Fusion of instances and semantic regions by the rules that Kirillov et al. compared with."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from jsisnet.arrays import Bool
from jsisnet.panoptic import VOID, PanopticMap, Segment

Region = tuple[Segment, tuple[tuple[slice, slice], Bool[np.ndarray, "h w"]]]
"""What a region is, and its pixels in a window of the photo, given by rows and columns."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KirillovConfig:
    """Rules of `combine`; the defaults are those of the official script."""

    min_score: float = 0.5
    """Instances with a lower score take no part."""

    max_overlap: float = 0.5
    """An instance is dropped if better ones cover a larger part of it."""

    min_stuff_area: float = 4096.0
    """Stuff classes of which fewer pixels are left are dropped; what they cover becomes void."""

    min_mask: float = 0.5
    """Where masks are probabilities, an instance has the pixels with at least this one."""


def combine(
    things: Iterable[Region],
    stuff: Iterable[Region],
    *,
    size: tuple[int, int],
    config: KirillovConfig,
) -> PanopticMap:
    """Fuse the instances and the semantic regions of one image.

    An instance gets the pixels that no better one has, unless better ones cover too much of it.
    A region of stuff gets what is left, unless that is too little.

    Args:
        things: Instances that take part, best score first. Drawn one at a time.
        stuff: Regions of stuff, each class once. Those that come first win where several overlap.
        size: Height and width of the photo.
        config: Rules and thresholds; those of scores and probabilities were applied before.

    Returns:
        The map, with segments in the order in which they were accepted; those that own no pixel are
        left out.

    Reference:
        Kirillov et al., "Panoptic Segmentation", CVPR 2019, section 7, and panopticapi's
        ``combine_semantic_and_instance_predictions.py``, whose ids are colours instead.
    """
    ids = np.full(size, VOID, np.int32)
    segments: list[Segment] = []
    for segment, (window, mask) in things:
        area = np.count_nonzero(mask)
        free = mask & (ids[window] == VOID)
        taken = area - np.count_nonzero(free)
        if area and taken / area <= config.max_overlap:
            segments.append(segment)
            ids[window][free] = len(segments)
    for segment, (window, mask) in stuff:
        free = mask & (ids[window] == VOID)
        if np.count_nonzero(free) >= config.min_stuff_area:
            segments.append(segment)
            ids[window][free] = len(segments)
    return PanopticMap.compact(ids, segments)
