"""Copy-paste augmentation: things of one photo over another one."""

from dataclasses import replace

import numpy as np
import torch

from jsisnet.arrays import Bool
from jsisnet.formats.dataset import Sample
from jsisnet.panoptic import VOID, PanopticMap

_CHOSEN = 0.5
"""Probability that a thing of the other photo is pasted."""

_MIN_VISIBLE = 0.1
"""Things of which a smaller fraction stays visible are dropped."""


def paste(sample: Sample, other: Sample, generator: torch.Generator) -> Sample:
    """Paste a random half of another photo's things over a photo, where they are in that one.

    Crowds are not pasted. What lies below loses its pixels; a thing that is almost hidden is
    dropped, and the rest of it becomes void.

    Args:
        sample: A network input.
        other: Another one of the same size. Both label all thing classes.
        generator: Source of randomness.

    Reference:
        Ghiasi et al., "Simple Copy-Paste is a Strong Data Augmentation Method for Instance
        Segmentation", section 3, without blending.
    """
    below, above = sample.panoptic, other.panoptic
    draws = torch.rand(len(above.segments), generator=generator).tolist()
    chosen = [
        number
        for number, (segment, draw) in enumerate(zip(above.segments, draws, strict=True), 1)
        if segment.isthing and not segment.iscrowd and draw < _CHOSEN
    ]
    numbers = np.zeros(len(above.segments) + 1, np.int32)
    numbers[chosen] = len(below.segments) + 1 + np.arange(len(chosen))
    pasted = numbers[above.ids]
    covered = pasted != VOID

    kept = np.arange(len(below.segments) + 1, dtype=np.int32)
    kept[1:][_almost_hidden(below, covered)] = VOID
    segments = (*below.segments, *(above.segments[number - 1] for number in chosen))
    return replace(
        sample,
        image=np.where(covered[..., None], other.image, sample.image),
        panoptic=PanopticMap.compact(np.where(covered, pasted, kept[below.ids]), segments),
    )


def _almost_hidden(below: PanopticMap, covered: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, " n"]:
    """Return which segments are things of which almost nothing stays visible."""
    hidden = np.bincount(below.ids[covered], minlength=len(below.segments) + 1)[1:]
    single = np.array([each.isthing and not each.iscrowd for each in below.segments], bool)
    areas = below.areas()
    found: Bool[np.ndarray, " n"] = single & (areas - hidden < _MIN_VISIBLE * areas)
    return found
