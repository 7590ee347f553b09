"""Average precision (AP) of instances, by COCO's rules."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import hotcoco
import numpy as np
from hotcoco import mask as run_lengths

from jsisnet.arrays import Bool, Float64, Int64
from jsisnet.categories import Categories
from jsisnet.panoptic import PanopticMap

Kind = Literal["mask", "box"]
"""Region whose IoU is measured."""

_IOU_50 = 0
"""Position of the IoU threshold 0.5 in COCO's settings."""

_ALL_SIZES, _MAX_DETECTIONS = 0, -1
"""Positions of all sizes and of 100 detections per image in COCO's settings."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Things:
    """Instances of one image, possibly none."""

    labels: Int64[np.ndarray, " n"]
    """Labels of the data set."""

    boxes: Float64[np.ndarray, "n 4"]
    """Corners in pixels of the image."""

    masks: tuple[str, ...]
    """Run-length codes of the masks at the image's size; see `encode`."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ImageInstances:
    """True and predicted instances of one image."""

    number: int
    """Position in the data set; breaks ties between equal scores."""

    size: tuple[int, int]
    """Height and width."""

    truth: Things
    """True instances, crowd regions included."""

    iscrowd: Bool[np.ndarray, " g"]
    """Which true instances are crowd regions."""

    prediction: Things
    """Predicted instances."""

    scores: Float64[np.ndarray, " n"]
    """Confidence of each predicted instance."""


@dataclass(frozen=True, slots=True, eq=False)
class CollectedInstances:
    """Instances of any number of images; ``+`` joins the images of two, in any order."""

    images: tuple[ImageInstances, ...] = ()

    def __add__(self, other: "CollectedInstances") -> "CollectedInstances":
        return CollectedInstances(self.images + other.images)


@dataclass(frozen=True, slots=True, eq=False)
class AveragePrecision:
    """AP of each label from 0 to 1, NaN for labels without a true instance."""

    ap: Float64[np.ndarray, " k"]
    """Mean over the IoU thresholds 0.5, 0.55, ... 0.95."""

    ap50: Float64[np.ndarray, " k"]
    """AP at the IoU threshold 0.5."""


def encode(
    mask: Bool[np.ndarray, "h w"], window: tuple[slice, slice], size: tuple[int, int]
) -> str:
    """Encode a mask in COCO's compressed run-length format, without drawing it at full size.

    Args:
        mask: Pixels of the window.
        window: Rows and columns of the image that the mask covers.
        size: Height and width of the image.

    Returns:
        Lengths of the runs of equal pixels, column by column, as a string.
    """
    (rows, columns), (height, width) = window, size
    framed = np.pad(mask.T, ((0, 0), (1, 1)))
    column, row = np.nonzero(framed[:, 1:] != framed[:, :-1])
    changes, times = np.unique(
        (columns.start + column) * height + rows.start + row, return_counts=True
    )
    # A run that continues from the bottom of a column to the top of the next one does not end.
    changes = changes[times == 1]
    ends = np.append(changes[changes < height * width], height * width)
    return run_lengths.rle_to_string({"size": size, "counts": np.diff(ends, prepend=0).tolist()})


def true_things(panoptic: PanopticMap) -> tuple[Things, Bool[np.ndarray, " g"]]:
    """Return the things of a true map, and which of them are crowd regions."""
    numbers = [i for i, segment in enumerate(panoptic.segments) if segment.isthing]
    boxes = panoptic.boxes()[numbers]
    windows = [(slice(y0, y1), slice(x0, x1)) for x0, y0, x1, y1 in boxes.tolist()]
    segments = [panoptic.segments[number] for number in numbers]
    things = Things(
        labels=np.array([segment.label for segment in segments], np.int64),
        boxes=boxes.astype(np.float64),
        masks=tuple(
            encode(panoptic.ids[window] == number + 1, window, panoptic.size)
            for number, window in zip(numbers, windows, strict=True)
        ),
    )
    return things, np.array([segment.iscrowd for segment in segments], bool)


def average_precision(
    collected: CollectedInstances, num_labels: int, kind: Kind
) -> AveragePrecision:
    """Compute the average precision of each label.

    Args:
        collected: All images.
        num_labels: Number of labels, K.
        kind: Region whose IoU is measured.

    Reference:
        COCO's detection evaluation: 101 recall levels, at most 100 detections per image;
        predictions on crowd regions are ignored.
    """
    images = sorted(collected.images, key=lambda image: image.number)
    numbered = list(enumerate(images, 1))
    truth = hotcoco.COCO(
        {
            "images": [
                {"id": i, "height": image.size[0], "width": image.size[1]} for i, image in numbered
            ],
            "categories": [{"id": label, "name": str(label)} for label in range(num_labels)],
            "annotations": _true_entries(numbered),
        }
    )
    evaluation = hotcoco.COCOeval(
        truth, truth.load_res(_predicted_entries(numbered)), {"mask": "segm", "box": "bbox"}[kind]
    )
    evaluation.evaluate()
    evaluation.accumulate()
    assert evaluation.eval is not None  # it was just filled
    precision = evaluation.eval["precision"][..., _ALL_SIZES, _MAX_DETECTIONS]
    precision = np.where(precision < 0, np.nan, precision).mean(axis=1)
    return AveragePrecision(precision.mean(axis=0), precision[_IOU_50])


def summary(collected: CollectedInstances, categories: Categories) -> dict[str, object]:
    """Return the average precision as plain values in percent, ready for a JSON file.

    Returns:
        ``mask_ap``, ``mask_ap50``, ``box_ap`` and ``box_ap50``, means over the classes with a true
        instance, and ``instances``, the same four for each thing class. Missing values are
        ``None``.
    """
    values: dict[str, Float64[np.ndarray, " k"]] = {}
    for kind in get_args(Kind):
        precision = average_precision(collected, len(categories), kind)
        values |= {f"{kind}_ap": precision.ap, f"{kind}_ap50": precision.ap50}
    return {
        **{name: _percent(each[~np.isnan(each)]) for name, each in values.items()},
        "instances": [
            {"name": categories[label].name}
            | {name: _percent(each[[label]]) for name, each in values.items()}
            for label in categories.thing_labels
        ],
    }


def _true_entries(images: Iterable[tuple[int, ImageInstances]]) -> list[dict[str, Any]]:
    entries = [
        entry | {"iscrowd": int(iscrowd), "area": int(run_lengths.area(entry["segmentation"]))}
        for image_id, image in images
        for entry, iscrowd in zip(
            _entries(image.truth, image_id, image.size), image.iscrowd, strict=True
        )
    ]
    return [{"id": number} | entry for number, entry in enumerate(entries, 1)]


def _predicted_entries(images: Iterable[tuple[int, ImageInstances]]) -> list[dict[str, Any]]:
    return [
        entry | {"score": score}
        for image_id, image in images
        for entry, score in zip(
            _entries(image.prediction, image_id, image.size), image.scores.tolist(), strict=True
        )
    ]


def _entries(things: Things, image_id: int, size: tuple[int, int]) -> list[dict[str, Any]]:
    """Return instances as entries of a COCO JSON file."""
    corners = things.boxes.tolist()
    return [
        {
            "image_id": image_id,
            "category_id": label,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "segmentation": {"size": list(size), "counts": mask},
        }
        for label, (x0, y0, x1, y1), mask in zip(
            things.labels.tolist(), corners, things.masks, strict=True
        )
    ]


def _percent(values: Float64[np.ndarray, " n"]) -> float | None:
    """Return the mean of values in percent; ``None`` without any or if they hold NaN."""
    return None if not values.size or np.isnan(values).any() else float(100 * values.mean())
