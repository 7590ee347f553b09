"""Panoptic quality as a metric of torchmetrics, for anybody's training loop."""

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
"""A batch: the category and the instance number of each pixel (b, ..., 2), or a map of each image,
whose labels are the categories."""

_PAIR = 2
"""Numbers of a pixel: category and instance."""


class PanopticQualityMetric(Metric):
    """PQ, SQ and RQ by the rules of COCO's official script.

    Takes what `torchmetrics.detection.PanopticQuality` takes, and differs from it in the rules:
    true segments that the prediction leaves void are missed, and predicted void stays in the union.

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
        """Begin with no image.

        Args:
            things: Categories of countable classes.
            stuffs: Those of the others; the instance numbers of their pixels play no role.
            allow_unknown_preds_category: Whether pixels that are predicted to be of another
                category are void, and no error.
            per_class: Whether `compute` also gives each class.
            all_crowds: Whether every crowd region of a class excuses predictions; the official
                script knows only the last one, here the one with the highest number.
            options: Those of every metric of torchmetrics.

        Raises:
            ValueError: If a category is among both, or there is none.
        """
        super().__init__(**options)
        both = set(things) & set(stuffs)
        if both or not {*things, *stuffs}:
            found = f"category {min(both)} is in both" if both else "there is no category"
            raise ValueError(f"{found}; expected things and stuffs without a common category")
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
            target: Truth; pixels of another category are void.
            crowds: Whether each pixel of the truth belongs to a crowd, which is a segment apart
                from those of the same number. Maps know that themselves.

        Raises:
            ValueError: If the shapes differ, or a predicted category is unknown.
        """
        if isinstance(preds, Tensor) or isinstance(target, Tensor):
            _refuse_other_shapes(preds, target, crowds)
        elif not all(isinstance(each, PanopticMap) for each in (*preds, *target)):
            raise ValueError("preds and target are neither tensors nor maps; expected one of both")
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
        """Give the quality of all images of all processes.

        Returns:
            ``pq``, ``sq`` and ``rq``, means over the classes seen, from 0 to 1; likewise of
            countable classes alone, ``pq_things``, and of the others, ``pq_stuff``, and so on; and
            ``pq_per_class``, if wanted, in the order of `categories`. What has no value is NaN.
        """
        things = np.arange(len(self.categories)) < self.num_things
        each = np.eye(len(things), dtype=bool)
        total = self.quality
        means = class_means(
            np.stack([total.iou, total.tp, total.fp, total.fn]),
            np.concatenate([[np.ones_like(things), things, ~things], each]),
        )
        values: dict[str, Tensor] = {}
        lines = torch.from_numpy(means).to(self.device)
        for name, line in zip(("pq", "sq", "rq"), lines, strict=True):
            values |= {name: line[0], f"{name}_things": line[1], f"{name}_stuff": line[2]}
            if self.per_class:
                values[f"{name}_per_class"] = line[3:]
        return values

    @property
    def quality(self) -> PanopticQuality:
        """Sums of the images so far, in the order of `categories`; of this process alone."""
        sums = (self.iou, self.tp, self.fp, self.fn)
        return PanopticQuality(*(each.cpu().numpy() for each in sums))

    def _map(
        self, image: Tensor | PanopticMap, crowds: Tensor | None = None, *, predicted: bool = False
    ) -> PanopticMap:
        """Give the map of an image, with the classes numbered as here."""
        if isinstance(image, PanopticMap):
            return self._renumbered(image, predicted)
        pixels = image.detach().cpu().numpy().reshape(-1, _PAIR).astype(np.int64)
        crowd = np.zeros(len(pixels), bool) if crowds is None else crowds.cpu().numpy().ravel()
        columns = np.stack([*pixels.T, crowd.astype(np.int64)])
        # Neighbours mostly are of one segment, so runs of equal pixels are looked up, not pixels.
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
        """Give numbers to segments by class, instance and crowd, and tell what they are."""
        _, numbers = np.unique(
            np.where(labels < self.num_things, instances, 0), return_inverse=True
        )
        span = len(numbers) + 1
        keys = np.where(labels == UNKNOWN, -1, (labels * span + numbers) * 2 + crowd)
        found, places = np.unique(np.append(-1, keys), return_inverse=True)
        segments = tuple(
            Segment(
                label=key // 2 // span,
                isthing=key // 2 // span < self.num_things,
                iscrowd=key % 2 == 1,
            )
            for key in found[1:].tolist()
        )
        return places[1:].astype(np.int32), segments

    def _renumbered(self, panoptic: PanopticMap, predicted: bool) -> PanopticMap:
        """Give the classes of a map their numbers here; other categories become void."""
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
        """Give the positions of categories among those here, `UNKNOWN` for others."""
        order = np.argsort(self.categories)
        keys = np.array(self.categories)[order]
        places = np.searchsorted(keys, categories).clip(max=len(keys) - 1)
        known = keys[places] == categories
        if predicted and not (known.all() or self.allow_unknown_preds_category):
            raise ValueError(
                f"the predicted category {categories[~known][0]} is unknown; expected one of "
                "things and stuffs"
            )
        return np.where(known, order[places], UNKNOWN)


def _refuse_other_shapes(preds: Maps, target: Maps, crowds: Tensor | None) -> None:
    """Refuse a batch of tensors that don't fit.

    Raises:
        ValueError: If they differ.
    """
    if not isinstance(preds, Tensor) or not isinstance(target, Tensor):
        raise ValueError("preds and target are of two kinds; expected tensors or maps for both")
    shapes = tuple(target.shape), tuple(preds.shape)
    if shapes[0] != shapes[1] or len(shapes[0]) <= _PAIR or shapes[0][-1] != _PAIR:
        raise ValueError(f"preds are {shapes[1]} and target {shapes[0]}; expected (b, ..., 2) both")
    if preds.is_floating_point() or target.is_floating_point():
        raise ValueError(f"preds are {preds.dtype} and target {target.dtype}; expected integers")
    if crowds is not None and tuple(crowds.shape) != shapes[0][:-1]:
        raise ValueError(f"crowds are {tuple(crowds.shape)}; expected {shapes[0][:-1]}")
