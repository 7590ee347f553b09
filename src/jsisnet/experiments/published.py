"""Results of the paper, and the layout of its data sets.

Reference:
    de Geus et al., arXiv 1809.02110, section 4.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

DataName = Literal["coco-val", "coco-test-dev", "vistas-val"]
"""Name of a data split that the paper reports results on."""

DATA: tuple[DataName, ...] = get_args(DataName)

_ROWS = ("all", "things", "stuff")
_FIGURES = ("pq", "sq", "rq")

_TABLE_1: dict[DataName, tuple[tuple[float, float, float], ...]] = {
    "coco-val": ((26.9, 72.4, 35.7), (29.3, 72.1, 39.2), (23.3, 73.0, 30.4)),
    "coco-test-dev": ((27.2, 71.9, 35.9), (29.6, 71.6, 39.4), (23.4, 72.3, 30.6)),
    "vistas-val": ((17.6, 55.9, 23.5), (10.0, 47.6, 14.1), (27.5, 66.9, 35.8)),
}

TABLE_4: dict[DataName, float] = {"coco-val": 82.7, "vistas-val": 36.3}
"""Mean recall of the proposals in percent; the paper does not state their number."""

TABLE_3: dict[str, dict[str, float | None]] = {
    "joint": {"miou": 34.7, "mask_ap50": 8.4, "pq": 17.4},
    "semantic": {"miou": 33.6, "mask_ap50": None, "pq": None},
    "instance": {"miou": None, "mask_ap50": 6.5, "pq": None},
    "semantic + instance": {"miou": 33.6, "mask_ap50": 6.5, "pq": 15.0},
}
"""Results of the joint and the separate networks on Mapillary Vistas, in percent."""

_VALIDATION: tuple[tuple[DataName, str, str], ...] = (
    ("coco-val", "val2017", "annotations/panoptic_val2017.json"),
    ("vistas-val", "validation/images", "validation/v1.2"),
    ("vistas-val", "validation/images", "validation"),
)
"""Paths of the validation photos and annotations in the unpacked archives."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """Paths of a split of the paper's data."""

    name: DataName
    images: Path
    annotations: Path
    """COCO panoptic JSON file, or annotation folder of Mapillary Vistas."""


def validation_split(root: Path) -> Split:
    """Find the validation split in a folder of COCO or Mapillary Vistas.

    Raises:
        ValueError: If the folder is neither.
    """
    for name, images, annotations in _VALIDATION:
        if (root / annotations).exists():
            return Split(name=name, images=root / images, annotations=root / annotations)
    raise ValueError(
        f"{root}: neither COCO nor Mapillary Vistas; expected {_VALIDATION[0][2]} or validation "
        "in this folder"
    )


def table1(name: DataName) -> dict[str, dict[str, float]]:
    """Return PQ, SQ and RQ in percent for all classes, things and stuff."""
    return {
        row: dict(zip(_FIGURES, figures, strict=True))
        for row, figures in zip(_ROWS, _TABLE_1[name], strict=True)
    }
