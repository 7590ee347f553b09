"""Fusion of instances and semantic regions by the heuristic of Kirillov et al."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from jsisnet.arrays import Bool, Float
from jsisnet.checks import check_fractions, check_settings
from jsisnet.inference.merge import Instances, ThingMasks, check_outputs, thing_masks
from jsisnet.inference.raster import Upsampled
from jsisnet.inference.rules import MergeConfig
from jsisnet.inference.stuff import Semantic
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

    replace_things: bool = False
    """Whether pixels whose best class is a thing take their best stuff class instead, as JSIS-Net's
    paper describes these rules; otherwise they hold no stuff, as in the official script. Labels
    without scores have no second-best class."""

    def __post_init__(self) -> None:
        check_settings(self)
        check_fractions(self, "min_score", "max_overlap", "min_mask")


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


def merge(
    instances: Instances,
    semantic: Float[np.ndarray, "k gh gw"] | None,
    *,
    frame: tuple[int, int],
    size: tuple[int, int],
    stuff_labels: Sequence[int],
    config: KirillovConfig,
) -> PanopticMap:
    """Fuse the instances and the semantic logits of one image at its size.

    Args:
        instances: Things, with boxes in pixels of the frame.
        semantic: Logits of all labels on a grid that spans the frame; ``None`` for no stuff.
        frame: Height and width of the network's input.
        size: Height and width of the image, and of the result.
        stuff_labels: Labels of the stuff classes.
        config: Rules and thresholds.

    Returns:
        The map. See `combine`.

    Raises:
        ValueError: If a value is not finite, an instance has a stuff label, or the logits have too
            few channels.
    """
    labels = tuple(stuff_labels)
    check_outputs(instances, semantic, frame=frame, size=size, stuff_labels=labels)
    rules = MergeConfig(min_score=config.min_score)
    things = thing_masks(instances, frame=frame, canvas=size, config=rules)
    stuff = [] if semantic is None else stuff_regions(semantic, size, labels, config)
    return combine(thing_regions(things, config), stuff, size=size, config=config)


def thing_regions(things: ThingMasks, config: KirillovConfig) -> Iterator[Region]:
    """Yield things with binary masks, in the same order."""
    for segment, (window, probability) in zip(things.segments, things.masks(), strict=True):
        yield segment, (window, probability >= config.min_mask)


def stuff_regions(
    semantic: Semantic, size: tuple[int, int], stuff_labels: Sequence[int], config: KirillovConfig
) -> Iterator[Region]:
    """Yield the region of each stuff class that has pixels, in the order of the labels.

    Args:
        semantic: Logits of all labels on a grid, or the label of each pixel.
        size: Height and width of the image.
        stuff_labels: Labels of the stuff classes.
        config: Rules.
    """
    channels, labels = list(range(len(semantic))), semantic
    if semantic.ndim == 3:  # noqa: PLR2004 - labels, height and width
        if config.replace_things:
            channels = list(stuff_labels)
        best = Upsampled.to(size, semantic).channels(channels).best(np.ones(size, bool))
        labels = np.array(channels, np.int32)[best]
    present = np.bincount(labels.ravel(), minlength=1)
    whole = (slice(None), slice(None))
    for label in stuff_labels:
        if label < len(present) and present[label]:
            yield Segment(label=label, isthing=False), (whole, labels == label)
