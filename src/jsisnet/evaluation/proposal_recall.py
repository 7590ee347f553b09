"""Mean recall of region proposals: the fraction of an image's objects that they cover."""

from dataclasses import dataclass

import numpy as np

from jsisnet.arrays import Bool, Float64, Int64
from jsisnet.panoptic import MEDIUM, SMALL, PanopticMap

LIMITS = (100, 300, 1000)
"""Numbers of best proposals at which recall is measured."""

MIN_IOU = 0.5
"""A proposal covers an object if the IoU of their boxes is at least this."""

_SETS = (*map(str, LIMITS), "own")
"""Names of the sets of proposals, in the order of the sums' rows."""

LONG, THIN = 2.0, 4.0
"""Lowest ratios of the longer to the shorter side of the box of a long and of a thin object. The
anchors of the paper's COCO preset have ratios up to the first, those of Vistas up to the second."""

SIZES, SHAPES = ("small", "medium", "large"), ("compact", "long", "thin")
"""Names of the groups of objects by area and by aspect ratio of the box."""

GROUPS = ("all", *SIZES, *SHAPES)
"""Names of the groups of objects, in the order of the sums' columns."""


@dataclass(frozen=True, slots=True, eq=False)
class ProposalRecall:
    """Sums of one or more images; ``+`` adds the images of two sums.

    The sets of proposals are the best ones up to each of `LIMITS`, and those that the network
    itself uses (``own``). The groups of objects are all, three sizes, and three aspect ratios.
    """

    recall: Float64[np.ndarray, "sets groups"]
    """Sum of the images' recalls, each from 0 to 1."""

    images: Int64[np.ndarray, " groups"]
    """Number of images with an object of the group; only these enter a mean."""

    proposals: Int64[np.ndarray, " sets"]
    """Number of proposals in each set, over the images with an object."""

    @classmethod
    def zero(cls) -> "ProposalRecall":
        """Return the sums of no image."""
        return cls(
            np.zeros((len(_SETS), len(GROUPS))),
            np.zeros(len(GROUPS), np.int64),
            np.zeros(len(_SETS), np.int64),
        )

    def __add__(self, other: "ProposalRecall") -> "ProposalRecall":
        return ProposalRecall(
            self.recall + other.recall,
            self.images + other.images,
            self.proposals + other.proposals,
        )

    @property
    def mean(self) -> Float64[np.ndarray, "sets groups"]:
        """Mean recall from 0 to 1, NaN for groups without an object."""
        unseen = np.full_like(self.recall, np.nan)
        return np.divide(self.recall, self.images, out=unseen, where=self.images > 0)


def true_boxes(panoptic: PanopticMap) -> Float64[np.ndarray, "g 4"]:
    """Return the boxes of the things of a true map, without crowds and things without pixels."""
    boxes = panoptic.boxes().astype(np.float64)
    wanted = np.array([s.isthing and not s.iscrowd for s in panoptic.segments], bool)
    return boxes[wanted & (boxes[:, 2] > 0)]


def count(
    objects: Float64[np.ndarray, "g 4"],
    ranked: Float64[np.ndarray, "p 4"],
    own: Float64[np.ndarray, "q 4"],
) -> ProposalRecall:
    """Measure the recall of the proposals of one image.

    One proposal may cover several objects: recall is an upper bound on what can be detected.

    Args:
        objects: True boxes in pixels of the image, none of them empty.
        ranked: Proposals in the same frame, best first; those up to each of `LIMITS` count.
        own: Proposals that the network passes on to its RoI head; all of them count.

    Returns:
        Sums of this image; all 0 if it has no objects.

    Reference:
        de Geus et al., arXiv 1809.02110, section 4.2, which does not state the number of proposals.
    """
    if not len(objects):
        return ProposalRecall.zero()
    sets = [*(ranked[:limit] for limit in LIMITS), own]
    covered = np.stack([_covered(objects, proposals) for proposals in sets])
    members = groups(objects)
    numbers = members.sum(axis=1)
    recall = (covered[:, None] & members).sum(axis=2) / np.maximum(numbers, 1)
    return ProposalRecall(
        # Up to 100,000 multiples of 2^-36 add without rounding: no order of images changes a sum.
        np.round(recall * 2**36) / 2**36,
        (numbers > 0).astype(np.int64),
        np.array([len(proposals) for proposals in sets], np.int64),
    )


def summary(result: ProposalRecall) -> dict[str, object]:
    """Return sums as plain values in percent, ready for a JSON file.

    Returns:
        ``rpn_recall``, with ``all``, `SIZES` and `SHAPES`: the mean recalls at each limit and of
        the network's ``own`` proposals, and the number of ``images`` in these means; and with
        ``proposals``, the mean number of proposals in each set. Missing values are ``None``.
    """
    by_group = {
        group: {name: _plain(value) for name, value in zip(_SETS, values, strict=True)}
        | {"images": int(images)}
        for group, values, images in zip(GROUPS, 100 * result.mean.T, result.images, strict=True)
    }
    images = int(result.images[0])
    proposals = {
        name: int(number) / images if images else None
        for name, number in zip(_SETS, result.proposals, strict=True)
    }
    return {"rpn_recall": by_group | {"proposals": proposals}}


def _covered(
    objects: Float64[np.ndarray, "g 4"], proposals: Float64[np.ndarray, "p 4"]
) -> Bool[np.ndarray, " g"]:
    """Return which objects are covered by a proposal."""
    rows, columns = objects[:, None], proposals[None]
    sides = np.minimum(rows[..., 2:], columns[..., 2:]) - np.maximum(
        rows[..., :2], columns[..., :2]
    )
    common = sides.clip(min=0).prod(axis=-1)
    union = _areas(objects)[:, None] + _areas(proposals) - common
    covered: Bool[np.ndarray, " g"] = (common >= MIN_IOU * union).any(axis=1)
    return covered


def groups(objects: Float64[np.ndarray, "g 4"]) -> Bool[np.ndarray, "groups g"]:
    """Return which objects belong to each of `GROUPS`, by their boxes in pixels of the image."""
    areas, sides = _areas(objects), objects[:, 2:] - objects[:, :2]
    small, large = areas < SMALL, areas >= MEDIUM
    shorter, longer = sides.min(axis=1), sides.max(axis=1)
    compact, thin = longer < LONG * shorter, longer >= THIN * shorter
    sizes = [small, ~small & ~large, large]
    return np.stack([np.ones_like(small), *sizes, compact, ~compact & ~thin, thin])


def _areas(boxes: Float64[np.ndarray, "n 4"]) -> Float64[np.ndarray, " n"]:
    return (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)


def _plain(percentage: float) -> float | None:
    return None if np.isnan(percentage) else float(percentage)
