"""Rules of the merge, for which torch is not needed."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeConfig:
    """Rules of JSIS-Net's merge; the defaults are the paper's."""

    canvas: Literal["network", "original"] = "network"
    """Whose pixels are merged: those of the network's input, with the ids resized to the photo
    afterwards, or those of the photo, which gives smoother edges and takes longer."""

    min_score: float = 0.5
    """Instances with a lower score take no part."""

    min_mask: float = 0.5
    """An instance claims the pixels where its mask has at least this probability."""

    normalize_masks: bool = False
    """Whether to divide each mask by its highest probability first."""

    owner: Literal["probability", "score_times_probability", "score"] = "probability"
    """What decides between instances that claim one pixel: the highest value owns it. The better
    score, then the lower index, wins a tie."""

    min_instance_area: float = 0.0
    """Instances that own less give it back to the stuff classes; see `area_unit`. 0 is off."""

    min_visible_fraction: float = 0.0
    """Instances that own a smaller part of what they claim give it back likewise. 0 is off."""

    min_stuff_area: float = 4096.0
    """Stuff classes that cover less are removed, and larger ones take their place."""

    area_unit: Literal["original", "canvas", "image"] = "original"
    """What areas are counted in: pixels of the photo, pixels of the canvas, or whole images, so
    that an area of 1/2048 is a 2048th of the image."""

    count_stuff: Literal["after_things", "before_things"] = "after_things"
    """Whether a stuff class covers only pixels that no instance owns, or also those below one."""

    replacement: Literal["one_pass", "greedy"] = "one_pass"
    """Whether all small stuff classes are removed at once, or the smallest is removed and the rest
    counted anew until none is small, which keeps more of them."""

    fallback: Literal["void", "keep_argmax"] = "void"
    """What the free pixels become where every stuff class is too small."""

    min_stuff_probability: float = 0.0
    """Free pixels whose best stuff class is less probable than this, among all classes, are void
    and not counted. 0 is off."""
