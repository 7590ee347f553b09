"""Settings of JSIS-Net's merge."""

from dataclasses import dataclass
from typing import Literal

from jsisnet.categories import Categories
from jsisnet.checks import check_fractions, check_settings, nearest


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeConfig:
    """Rules and thresholds of `merge`; the defaults are the paper's."""

    canvas: Literal["network", "original"] = "network"
    """Resolution of the merge: that of the network's input, after which the ids are resized to the
    image, or that of the original image, which is slower but gives smoother edges."""

    min_score: float = 0.5
    """Instances with a lower score are ignored."""

    class_min_scores: tuple[tuple[str, float], ...] = ()
    """Names of thing classes, and the lowest score of each in place of `min_score`; a mapping in
    YAML and JSON."""

    min_mask: float = 0.5
    """Lowest mask probability at which an instance claims a pixel."""

    normalize_masks: bool = False
    """Whether each mask is first divided by its highest probability."""

    owner: Literal["probability", "score_times_probability", "score"] = "probability"
    """Which instance owns a pixel that several claim: the one with the highest value. Ties go to
    the higher score, then to the lower index."""

    max_mask_overlap: float = 1.0
    """Instances whose mask has a higher IoU with that of a better one are dropped, whatever their
    classes. 1 disables, as in the paper."""

    min_instance_area: float = 0.0
    """Instances that own less area are dropped; see `area_unit`. 0 disables."""

    min_visible_fraction: float = 0.0
    """Instances that own a smaller fraction of the pixels they claim are dropped. 0 disables."""

    min_stuff_area: float = 4096.0
    """Stuff classes that cover less area are removed, and larger ones replace them; see
    `area_unit`."""

    area_unit: Literal["original", "canvas", "image"] = "original"
    """Unit of areas: pixels of the original image, pixels of the canvas, or whole images, so that
    an area of 0.01 is a hundredth of the image."""

    count_stuff: Literal["after_things", "before_things"] = "after_things"
    """Whether the area of a stuff class excludes pixels that instances own, or includes them."""

    replacement: Literal["one_pass", "greedy"] = "one_pass"
    """Whether all small stuff classes are removed at once, or the smallest one at a time until none
    is small, which keeps more of them."""

    fallback: Literal["void", "keep_argmax"] = "void"
    """What the pixels without an instance become if every stuff class is too small."""

    min_stuff_probability: float = 0.0
    """Pixels whose best stuff class has a lower softmax probability are void and not counted. 0
    disables."""

    def __post_init__(self) -> None:
        check_settings(self)
        check_fractions(
            self,
            "min_score",
            "min_mask",
            "max_mask_overlap",
            "min_visible_fraction",
            "min_stuff_probability",
        )
        for name, score in self.class_min_scores:
            if not 0 <= score <= 1:
                raise ValueError(f"class_min_scores of {name!r} is {score:g}; expected 0 to 1")

    @property
    def lowest_score(self) -> float:
        """The lowest score that suffices for some class."""
        return min([self.min_score, *(score for _, score in self.class_min_scores)])

    def min_scores(self, categories: Categories) -> tuple[float, ...]:
        """Return the lowest score of the instances of each label.

        Raises:
            ValueError: If `class_min_scores` names no thing class; the message suggests one.
        """
        things = {categories[label].name for label in categories.thing_labels}
        chosen = dict(self.class_min_scores)
        for name in chosen:
            if name not in things:
                raise ValueError(
                    f"class_min_scores: no thing class named {name!r}.{nearest(name, things)} "
                    f"Thing classes: {', '.join(sorted(things)) or 'none'}"
                )
        return tuple(chosen.get(category.name, self.min_score) for category in categories)
