"""Instances with the probabilities of their masks: a ``.npz`` file for each image."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, Int64

from jsisnet.categories import Categories
from jsisnet.formats import arrays

_NAMES = ("boxes", "category_ids", "scores", "masks")
_CORNERS, _GRIDS = 4, 3


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BoxMasks:
    """Things of one image, in the order of the file."""

    boxes: Float32[np.ndarray, "n 4"]
    """Corners x0, y0, x1, y1 in pixels of the photo."""

    labels: Int64[np.ndarray, " n"]

    scores: Float64[np.ndarray, " n"]

    masks: Float32[np.ndarray, "n m m"]
    """Probability that a point of the box belongs to the thing; the grid spans the box."""


def read(path: Path, categories: Categories) -> BoxMasks:
    """Read the arrays ``boxes``, ``category_ids``, ``scores`` and ``masks``.

    Args:
        path: The file.
        categories: Classes of the things.

    Raises:
        ValueError: If the file is missing, an array is missing, has another shape than `BoxMasks`
            or a value that is no finite number, or a category is no thing; the message names it.
    """
    try:
        found = arrays.load(path)
        for name in _NAMES:
            if name not in found:
                raise ValueError(f"has no array {name!r}")
        for name in ("boxes", "scores", "masks"):
            arrays.finite(found[name], name)
        _check_shapes(*(found[name].shape for name in _NAMES))
        return BoxMasks(
            boxes=found["boxes"].astype(np.float32),
            labels=np.array(
                [_label(number, categories) for number in found["category_ids"].tolist()], np.int64
            ),
            scores=found["scores"].astype(np.float64),
            masks=found["masks"].astype(np.float32),
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _check_shapes(
    boxes: tuple[int, ...],
    category_ids: tuple[int, ...],
    scores: tuple[int, ...],
    masks: tuple[int, ...],
) -> None:
    number = boxes[0] if boxes else 0
    if boxes != (number, _CORNERS):
        raise ValueError(f"boxes has the shape {boxes}, expected a row of 4 for each instance")
    for name, shape in (("category_ids", category_ids), ("scores", scores)):
        if shape != (number,):
            raise ValueError(f"{name} has the shape {shape}, expected ({number},) as of the boxes")
    if len(masks) != _GRIDS or masks[0] != number or masks[1] != masks[2] or not masks[1]:
        raise ValueError(
            f"masks has the shape {masks}, expected ({number}, m, m): a square grid in each box"
        )


def _label(category_id: object, categories: Categories) -> int:
    if not isinstance(category_id, int | str) or category_id not in categories:
        known = f"one of the {len(categories)} categories"
        raise ValueError(f"category_ids holds {category_id!r}, expected {known}")
    label = categories.label(category_id)
    if not categories[label].isthing:
        name = categories[label].name
        raise ValueError(f"category_ids holds {category_id!r} ({name!r}), which is stuff")
    return label
