"""Average precision: how well the instances that were found, ranked by score, match true ones."""

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
"""What the IoU of two things is that of."""

_HALF = 0
"""Position of the IoU 0.5 among COCO's thresholds."""

_ALL_SIZES, _MOST = 0, -1
"""Positions of things of every size and of 100 detections per photo among COCO's settings."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Things:
    """Things of one photo, possibly none."""

    labels: Int64[np.ndarray, " n"]
    """Labels of the data set."""

    boxes: Float64[np.ndarray, "n 4"]
    """Corners in pixels of the photo."""

    masks: tuple[str, ...]
    """Run lengths of the masks at the photo's size, as `encode` gives them."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Photo:
    """What a photo shows, and what was found in it."""

    number: int
    """Position in the data set, which decides the order of equal scores."""

    size: tuple[int, int]
    """Height and width."""

    truth: Things
    """What there is to find, crowds included."""

    iscrowd: Bool[np.ndarray, " g"]
    """Which true things are crowds."""

    found: Things
    """Predicted things."""

    scores: Float64[np.ndarray, " n"]
    """Confidence in each of `found`."""


@dataclass(frozen=True, slots=True, eq=False)
class Collected:
    """Things of any number of photos; ``+`` joins the photos of two, in whichever order."""

    photos: tuple[Photo, ...] = ()
    """Each photo once."""

    def __add__(self, other: "Collected") -> "Collected":
        return Collected(self.photos + other.photos)


@dataclass(frozen=True, slots=True, eq=False)
class AveragePrecision:
    """Values from 0 to 1 of each label, NaN for labels that no true thing has."""

    ap: Float64[np.ndarray, " k"]
    """Mean over the IoU thresholds 0.5, 0.55, ... 0.95."""

    ap50: Float64[np.ndarray, " k"]
    """At the IoU threshold 0.5."""


def encode(
    mask: Bool[np.ndarray, "h w"], window: tuple[slice, slice], size: tuple[int, int]
) -> str:
    """Pack a mask as COCO does, without drawing it onto the photo.

    Args:
        mask: Pixels of the window.
        window: Rows and columns of the photo.
        size: Height and width of the photo.

    Returns:
        Lengths of the runs of equal pixels, column after column, as characters.
    """
    (rows, columns), (height, width) = window, size
    framed = np.pad(mask.T, ((0, 0), (1, 1)))
    column, row = np.nonzero(framed[:, 1:] != framed[:, :-1])
    changes, times = np.unique(
        (columns.start + column) * height + rows.start + row, return_counts=True
    )
    # A run that goes on from the foot of one column at the top of the next does not end there.
    changes = changes[times == 1]
    ends = np.append(changes[changes < height * width], height * width)
    return run_lengths.rle_to_string({"size": size, "counts": np.diff(ends, prepend=0).tolist()})


def true_things(panoptic: PanopticMap) -> tuple[Things, Bool[np.ndarray, " g"]]:
    """List the things of a true map, and which of them are crowds."""
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


def average_precision(collected: Collected, num_labels: int, kind: Kind) -> AveragePrecision:
    """Rank all things found, and measure how precise they are at each recall.

    Args:
        collected: All photos.
        num_labels: Number of labels, K.
        kind: Whether masks or boxes are compared.

    Reference:
        COCO's detection evaluation: 101 recalls, at most 100 detections per photo, and crowds
        that count neither way.
    """
    photos = sorted(collected.photos, key=lambda photo: photo.number)
    numbered = list(enumerate(photos, 1))
    truth = hotcoco.COCO(
        {
            "images": [
                {"id": i, "height": photo.size[0], "width": photo.size[1]} for i, photo in numbered
            ],
            "categories": [{"id": label, "name": str(label)} for label in range(num_labels)],
            "annotations": _truth(numbered),
        }
    )
    evaluation = hotcoco.COCOeval(
        truth, truth.load_res(_found(numbered)), {"mask": "segm", "box": "bbox"}[kind]
    )
    evaluation.evaluate()
    evaluation.accumulate()
    assert evaluation.eval is not None  # it was just filled
    precision = evaluation.eval["precision"][..., _ALL_SIZES, _MOST]
    precision = np.where(precision < 0, np.nan, precision).mean(axis=1)
    return AveragePrecision(precision.mean(axis=0), precision[_HALF])


def summary(collected: Collected, categories: Categories) -> dict[str, object]:
    """Describe all photos as plain values in percent, ready for a JSON file.

    Returns:
        ``mask_ap``, ``mask_ap50``, ``box_ap`` and ``box_ap50``, means over the classes that the
        truth has, and ``instances``, the same four for each thing class. What has no value is
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


def _truth(photos: Iterable[tuple[int, Photo]]) -> list[dict[str, Any]]:
    entries = [
        entry | {"iscrowd": int(iscrowd), "area": int(run_lengths.area(entry["segmentation"]))}
        for image_id, photo in photos
        for entry, iscrowd in zip(
            _entries(photo.truth, image_id, photo.size), photo.iscrowd, strict=True
        )
    ]
    return [{"id": number} | entry for number, entry in enumerate(entries, 1)]


def _found(photos: Iterable[tuple[int, Photo]]) -> list[dict[str, Any]]:
    return [
        entry | {"score": score}
        for image_id, photo in photos
        for entry, score in zip(
            _entries(photo.found, image_id, photo.size), photo.scores.tolist(), strict=True
        )
    ]


def _entries(things: Things, image_id: int, size: tuple[int, int]) -> list[dict[str, Any]]:
    """Describe things as COCO's files do."""
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
    """Average values; ``None`` without any, or if they hold NaN."""
    return None if not values.size or np.isnan(values).any() else float(100 * values.mean())
