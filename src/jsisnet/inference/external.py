"""What other networks predict, in the forms that the merge takes."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from jsisnet.arrays import Float
from jsisnet.formats.coco_results import RegionList
from jsisnet.formats.predictions import BoxMasks, Labels, Scores
from jsisnet.inference.kirillov import Region
from jsisnet.inference.merge import DrawnThings, drawn, merge_drawn
from jsisnet.inference.raster import Upsampled, Window
from jsisnet.inference.rules import MergeConfig
from jsisnet.model.instances import Instances
from jsisnet.panoptic import PanopticMap


def merge(
    things: RegionList | BoxMasks,
    semantic: Scores | Labels,
    *,
    size: tuple[int, int],
    stuff_labels: tuple[int, ...],
    config: MergeConfig,
) -> PanopticMap:
    """Fuse the predictions for one image by JSIS-Net's rules, at the size of its photo.

    Args:
        things: Those that take part, best score first; or all of them, in any order.
        semantic: Scores or labels.
        size: Height and width of the photo.
        stuff_labels: Labels that may fill the pixels of no instance.
        config: Rules and thresholds.

    Raises:
        ValueError: As `merge_drawn` does.
    """
    return merge_drawn(
        _pasted(things, size, config) if isinstance(things, BoxMasks) else _placed(things),
        torch.from_numpy(semantic),
        size=size,
        stuff_labels=stuff_labels,
        config=replace(config, canvas="original"),
    )


def regions(
    things: BoxMasks, size: tuple[int, int], *, min_score: float, min_mask: float
) -> Iterator[Region]:
    """Draw the things of a photo of some height and width that are likely enough, best first."""
    pasted = _pasted(things, size, MergeConfig(min_score=min_score))
    for segment, (window, probability) in zip(pasted.segments, pasted.masks(), strict=True):
        yield segment, (window, (probability >= min_mask).numpy())


def best_labels(scores: Scores, size: tuple[int, int]) -> Labels:
    """Give the label with the highest score at each pixel of a photo of some height and width."""
    logits = Upsampled.to(size, torch.from_numpy(scores))
    return logits.best(torch.ones(size, dtype=torch.bool)).numpy()


def _pasted(things: BoxMasks, size: tuple[int, int], config: MergeConfig) -> DrawnThings:
    instances = Instances(
        boxes=torch.from_numpy(things.boxes),
        labels=torch.from_numpy(things.labels),
        scores=torch.from_numpy(things.scores),
        masks=torch.from_numpy(things.masks),
    )
    return drawn(instances, frame=size, canvas=size, config=config)


def _placed(things: RegionList) -> DrawnThings:
    def masks() -> Iterator[tuple[Window, Float[Tensor, "h w"]]]:
        for _, (window, mask) in things.drawn():
            yield window, torch.from_numpy(mask).float()

    return DrawnThings(segments=things.segments, masks=masks)
