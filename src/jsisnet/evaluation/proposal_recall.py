"""Mean recall of the region proposals: what share of an image's objects they cover."""

from dataclasses import dataclass

import numpy as np

from jsisnet.arrays import Bool, Float64, Int64
from jsisnet.panoptic import MEDIUM, SMALL, PanopticMap

LIMITS = (100, 300, 1000)
"""Numbers of the best proposals that recall is measured at."""

MIN_IOU = 0.5
"""A proposal covers an object if the IoU of their boxes is at least this."""


_SETS = (*map(str, LIMITS), "own")
"""Names of the sets of proposals, in the order of the sums' rows."""

_SIZES = ("all", "small", "medium", "large")
"""Names of the objects' sizes, in the order of the sums' columns."""


@dataclass(frozen=True, slots=True, eq=False)
class ProposalRecall:
    """Sums of one or more images; ``+`` joins the images of two sums.

    The sets of proposals are the best ones up to each of `LIMITS`, and the network's own. The sizes
    of objects are all, small, medium and large.
    """

    recall: Float64[np.ndarray, "sets sizes"]
    """Of each image from 0 to 1, summed."""

    images: Int64[np.ndarray, " sizes"]
    """Images that have an object of the size; only these enter a mean."""

    proposals: Int64[np.ndarray, " sets"]
    """Proposals in each set, of the images that have an object."""

    @classmethod
    def zero(cls) -> "ProposalRecall":
        """Give the sums of no image."""
        return cls(
            np.zeros((len(_SETS), len(_SIZES))),
            np.zeros(len(_SIZES), np.int64),
            np.zeros(len(_SETS), np.int64),
        )

    def __add__(self, other: "ProposalRecall") -> "ProposalRecall":
        return ProposalRecall(
            self.recall + other.recall,
            self.images + other.images,
            self.proposals + other.proposals,
        )

    @property
    def mean(self) -> Float64[np.ndarray, "sets sizes"]:
        """Mean recall from 0 to 1, NaN for sizes that no image has."""
        nothing = np.full_like(self.recall, np.nan)
        return np.divide(self.recall, self.images, out=nothing, where=self.images > 0)


def true_boxes(panoptic: PanopticMap) -> Float64[np.ndarray, "g 4"]:
    """List the boxes of a true map's things, without crowds and things that own no pixel."""
    boxes = panoptic.boxes().astype(np.float64)
    wanted = np.array([s.isthing and not s.iscrowd for s in panoptic.segments], bool)
    return boxes[wanted & (boxes[:, 2] > 0)]


def count(
    objects: Float64[np.ndarray, "g 4"],
    ranked: Float64[np.ndarray, "p 4"],
    own: Float64[np.ndarray, "q 4"],
) -> ProposalRecall:
    """Measure the recall of one image's proposals.

    Two objects may be covered by one proposal: it is asked what can be found at all.

    Args:
        objects: True boxes in pixels of the image, none of them empty.
        ranked: Proposals in the same frame, best first, of which the first ones are judged.
        own: Proposals that the network itself goes on with, all of which are judged.

    Returns:
        Sums of this image, which are 0 if it has no objects.

    Reference:
        de Geus et al., arXiv 1809.02110, section 4.2; it tells no number of proposals.
    """
    if not len(objects):
        return ProposalRecall.zero()
    sets = [*(ranked[:limit] for limit in LIMITS), own]
    covered = np.stack([_covered(objects, proposals) for proposals in sets])
    sizes = _sizes(objects)
    numbers = sizes.sum(axis=1)
    recall = (covered[:, None] & sizes).sum(axis=2) / np.maximum(numbers, 1)
    return ProposalRecall(
        # Up to 100,000 multiples of 2^-36 add without rounding: no order of images changes a sum.
        np.round(recall * 2**36) / 2**36,
        (numbers > 0).astype(np.int64),
        np.array([len(proposals) for proposals in sets], np.int64),
    )


def summary(result: ProposalRecall) -> dict[str, object]:
    """Describe sums as plain values in percent, ready for a JSON file.

    Returns:
        ``rpn_recall``, with ``all``, ``small``, ``medium`` and ``large``: the mean recalls at each
        limit and of the network's ``own`` proposals, and the number of ``images`` in these means;
        and with ``proposals``, the mean number of proposals that there really were. What has no
        value is ``None``.
    """
    by_size = {
        size: {name: _plain(value) for name, value in zip(_SETS, values, strict=True)}
        | {"images": int(images)}
        for size, values, images in zip(_SIZES, 100 * result.mean.T, result.images, strict=True)
    }
    images = int(result.images[0])
    proposals = {
        name: int(number) / images if images else None
        for name, number in zip(_SETS, result.proposals, strict=True)
    }
    return {"rpn_recall": by_size | {"proposals": proposals}}


def _covered(
    objects: Float64[np.ndarray, "g 4"], proposals: Float64[np.ndarray, "p 4"]
) -> Bool[np.ndarray, " g"]:
    """Tell which objects a proposal covers."""
    rows, columns = objects[:, None], proposals[None]
    sides = np.minimum(rows[..., 2:], columns[..., 2:]) - np.maximum(
        rows[..., :2], columns[..., :2]
    )
    common = sides.clip(min=0).prod(axis=-1)
    union = _areas(objects)[:, None] + _areas(proposals) - common
    covered: Bool[np.ndarray, " g"] = (common >= MIN_IOU * union).any(axis=1)
    return covered


def _sizes(objects: Float64[np.ndarray, "g 4"]) -> Bool[np.ndarray, "sizes g"]:
    """Tell which objects are of each size, the first of which is all sizes."""
    areas = _areas(objects)
    small, large = areas < SMALL, areas >= MEDIUM
    return np.stack([np.ones_like(small), small, ~small & ~large, large])


def _areas(boxes: Float64[np.ndarray, "n 4"]) -> Float64[np.ndarray, " n"]:
    return (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)


def _plain(percentage: float) -> float | None:
    return None if np.isnan(percentage) else float(percentage)
