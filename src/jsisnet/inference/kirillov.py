"""Fusion of instances and semantic regions by the heuristic of Kirillov et al."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from jsisnet.arrays import Bool
from jsisnet.checks import check_settings
from jsisnet.panoptic import VOID, PanopticMap, Segment

Region = tuple[Segment, tuple[tuple[slice, slice], Bool[np.ndarray, "h w"]]]
"""A segment, a window of the image as slices of rows and columns, and the mask in the window."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KirillovConfig:
    """Thresholds of `combine`; the defaults are those of the official script."""

    min_score: float = 0.5
    """Instances with a lower score are ignored."""

    max_overlap: float = 0.5
    """Instances are dropped if better ones cover a larger fraction of them."""

    min_stuff_area: float = 4096.0
    """Stuff classes with fewer pixels left are dropped; their pixels become void."""

    min_mask: float = 0.5
    """Threshold for masks that are probabilities."""

    def __post_init__(self) -> None:
        check_settings(self)


def combine(
    things: Iterable[Region],
    stuff: Iterable[Region],
    *,
    size: tuple[int, int],
    config: KirillovConfig,
) -> PanopticMap:
    """Fuse the instances and the semantic regions of one image.

    Each instance gets the pixels that no better one has, unless better ones cover too much of it.
    Each stuff region gets the pixels that are left, unless they are too few.

    Args:
        things: Instances above the minimum score, best first; consumed one at a time.
        stuff: Stuff regions, one per class. Where they overlap, the first one wins.
        size: Height and width of the image.
        config: Thresholds. `min_score` and `min_mask` are not used here.

    Returns:
        The map, with segments in the order of acceptance; segments without pixels are left out.

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
