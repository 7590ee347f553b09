"""Panoptic quality as a `torchmetrics.Metric`, for any training loop."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from jsisnet.arrays import Int32, Int64
from jsisnet.categories import UNKNOWN
from jsisnet.evaluation.panoptic_quality import PanopticQuality, class_means, count_matches
from jsisnet.panoptic import VOID, PanopticMap, Segment

Maps = Tensor | Sequence[PanopticMap]
"""A batch: a tensor (b, ..., 2) with the category and the instance number of each pixel, or one map
per image, whose labels are the categories."""

_PAIR = 2
"""Length of the last axis: category and instance."""


class PanopticQualityMetric(Metric):
    """PQ, SQ and RQ by the rules of COCO's official script.

    Takes the same tensors as `torchmetrics.detection.PanopticQuality`. Unlike there, a true segment
    that the prediction leaves void is a false negative, and predicted void stays in the union.

    Example:
        >>> metric = PanopticQualityMetric(things={1}, stuffs={7})
        >>> target = torch.tensor([[[1, 0], [1, 0], [1, 5], [7, 0]]])
        >>> preds = torch.tensor([[[1, 3], [1, 3], [7, 0], [7, 0]]])
        >>> metric.update(preds, target)
        >>> {name: round(value.item(), 3) for name, value in metric.compute().items()}["pq_things"]
        0.667
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    iou: Tensor
    tp: Tensor
    fp: Tensor
    fn: Tensor

    def __init__(
        self,
        things: Collection[int],
        stuffs: Collection[int],
        *,
        allow_unknown_preds_category: bool = False,
        per_class: bool = False,
        all_crowds: bool = False,
        **options: Any,  # noqa: ANN401 - torchmetrics' own
    ):
        """Create a metric of no images.

        Args:
            things: Categories of countable classes.
            stuffs: Categories of amorphous classes; their instance numbers are ignored.
            allow_unknown_preds_category: Whether predicted pixels of other categories are void
                rather than an error.
            per_class: Whether `compute` also returns the values of each class.
            all_crowds: Whether predictions on any crowd region of their class are ignored; the
                official script considers only the last one, here that of the highest number.
            options: Options of `torchmetrics.Metric`.

        Raises:
            ValueError: If a category is in both, or there is none.
        """
        super().__init__(**options)
        both = set(things) & set(stuffs)
        if both or not {*things, *stuffs}:
            found = f"category {min(both)} is in both" if both else "there is no category"
            raise ValueError(f"{found}; expected disjoint things and stuffs, at least one category")
        self.categories = (*sorted(set(things)), *sorted(set(stuffs)))
        """Categories in the order of the classes: things, then stuff, both ascending."""
        self.num_things = len(set(things))
        self.allow_unknown_preds_category = allow_unknown_preds_category
        self.per_class = per_class
        self.all_crowds = all_crowds
        zero = torch.zeros(len(self.categories), dtype=torch.int64)
        self.add_state("iou", zero.double(), dist_reduce_fx="sum")
        for name in ("tp", "fp", "fn"):
            self.add_state(name, zero.clone(), dist_reduce_fx="sum")

    def update(self, preds: Maps, target: Maps, crowds: Tensor | None = None) -> None:
        """Add the images of a batch.

        Args:
            preds: Predictions.
            target: Ground truth; pixels of unknown categories are void.
            crowds: For tensors, whether each pixel of the ground truth belongs to a crowd region;
                pixels of one instance number are separate segments inside and outside of crowds.

        Raises:
            ValueError: If the shapes differ, or a predicted category is unknown.
        """
        if isinstance(preds, Tensor) or isinstance(target, Tensor):
            _check_batch(preds, target, crowds)
        elif not all(isinstance(each, PanopticMap) for each in (*preds, *target)):
            raise ValueError("preds and target must be tensors or maps")
        if len(preds) != len(target):
            raise ValueError(f"{len(preds)} predictions for {len(target)} images")
        total = self.quality
        for number, (found, true) in enumerate(zip(preds, target, strict=True)):
            crowd = None if crowds is None else crowds[number]
            truth, prediction = self._map(true, crowd), self._map(found, predicted=True)
            total += count_matches(
                truth, prediction, len(self.categories), all_crowds=self.all_crowds
            )
        sums = (total.iou, total.tp, total.fp, total.fn)
        self.iou, self.tp, self.fp, self.fn = (
            torch.from_numpy(each).to(self.device) for each in sums
        )

    def compute(self) -> dict[str, Tensor]:
        """Compute the quality of all images of all processes.

        Returns:
            ``pq``, ``sq`` and ``rq``, means over the classes seen, from 0 to 1; the same means over
            things, ``pq_things`` and so on, and over stuff, ``pq_stuff`` and so on; and, if
            `per_class` is set, ``pq_per_class`` and so on, in the order of `categories`. Missing
            values are NaN.
        """
        things = np.arange(len(self.categories)) < self.num_things
        each = np.eye(len(things), dtype=bool)
        total = self.quality
        groups = np.concatenate([[np.ones_like(things), things, ~things], each])
        means = class_means(total.sums, groups)
        values: dict[str, Tensor] = {}
        lines = torch.from_numpy(means).to(self.device)
        for name, line in zip(("pq", "sq", "rq"), lines, strict=True):
            values |= {name: line[0], f"{name}_things": line[1], f"{name}_stuff": line[2]}
            if self.per_class:
                values[f"{name}_per_class"] = line[3:]
        return values

    @property
    def quality(self) -> PanopticQuality:
        """Sums of the images of this process so far, in the order of `categories`."""
        sums = (self.iou, self.tp, self.fp, self.fn)
        return PanopticQuality(*(each.cpu().numpy() for each in sums))

    def _map(
        self, image: Tensor | PanopticMap, crowds: Tensor | None = None, *, predicted: bool = False
    ) -> PanopticMap:
        """Return an image as a map whose labels are positions in `categories`."""
        if isinstance(image, PanopticMap):
            return self._relabelled(image, predicted)
        pixels = image.detach().cpu().numpy().reshape(-1, _PAIR).astype(np.int64)
        crowd = np.zeros(len(pixels), bool) if crowds is None else crowds.cpu().numpy().ravel()
        columns = np.stack([*pixels.T, crowd.astype(np.int64)])
        # Neighbouring pixels mostly belong to one segment: look up runs of equal pixels.
        changes = (columns[:, 1:] != columns[:, :-1]).any(axis=0)
        starts = np.flatnonzero(np.append(True, changes)[: len(pixels)])
        categories, instances, crowd = columns[:, starts]
        labels = self._labels(categories, predicted)
        ids, segments = self._segments(labels, instances, crowd)
        return PanopticMap(np.repeat(ids, np.diff(starts, append=len(pixels)))[None], segments)

    def _segments(
        self,
        labels: Int64[np.ndarray, " n"],
        instances: Int64[np.ndarray, " n"],
        crowd: Int64[np.ndarray, " n"],
    ) -> tuple[Int32[np.ndarray, " n"], tuple[Segment, ...]]:
        """Return the id of each pixel, and the segments: one for each class, instance and crowd."""
        _, numbers = np.unique(
            np.where(labels < self.num_things, instances, 0), return_inverse=True
        )
        span = len(numbers) + 1
        keys = np.where(labels == UNKNOWN, -1, (labels * span + numbers) * 2 + crowd)
        found, ids = np.unique(np.append(-1, keys), return_inverse=True)
        segments = tuple(
            Segment(
                label=key // 2 // span,
                isthing=key // 2 // span < self.num_things,
                iscrowd=key % 2 == 1,
            )
            for key in found[1:].tolist()
        )
        return ids[1:].astype(np.int32), segments

    def _relabelled(self, panoptic: PanopticMap, predicted: bool) -> PanopticMap:
        """Replace the labels of a map by positions in `categories`; unknown ones become void."""
        listed = np.array([segment.label for segment in panoptic.segments], np.int64)
        labels = self._labels(listed, predicted)
        known = labels != UNKNOWN
        numbers = np.append(VOID, np.cumsum(known) * known).astype(np.int32)
        segments = zip(panoptic.segments, labels.tolist(), strict=True)
        return PanopticMap(
            numbers[panoptic.ids],
            tuple(replace(each, label=label) for each, label in segments if label != UNKNOWN),
        )

    def _labels(
        self, categories: Int64[np.ndarray, " n"], predicted: bool
    ) -> Int64[np.ndarray, " n"]:
        """Return the position of each category in `categories`, or `UNKNOWN`."""
        order = np.argsort(self.categories)
        keys = np.array(self.categories)[order]
        positions = np.searchsorted(keys, categories).clip(max=len(keys) - 1)
        known = keys[positions] == categories
        if predicted and not (known.all() or self.allow_unknown_preds_category):
            raise ValueError(
                f"the predicted category {categories[~known][0]} is unknown; expected one of "
                "things or stuffs"
            )
        return np.where(known, order[positions], UNKNOWN)


def _check_batch(preds: Maps, target: Maps, crowds: Tensor | None) -> None:
    """Check that the tensors of a batch fit together.

    Raises:
        ValueError: If their kinds, shapes or types do not fit.
    """
    if not isinstance(preds, Tensor) or not isinstance(target, Tensor):
        raise ValueError("preds and target differ in kind; expected tensors or maps for both")
    shapes = tuple(target.shape), tuple(preds.shape)
    if shapes[0] != shapes[1] or len(shapes[0]) <= _PAIR or shapes[0][-1] != _PAIR:
        raise ValueError(f"preds are {shapes[1]} and target {shapes[0]}; expected (b, ..., 2) both")
    if preds.is_floating_point() or target.is_floating_point():
        raise ValueError(f"preds are {preds.dtype} and target {target.dtype}; expected integers")
    if crowds is not None and tuple(crowds.shape) != shapes[0][:-1]:
        raise ValueError(f"crowds are {tuple(crowds.shape)}; expected {shapes[0][:-1]}")
