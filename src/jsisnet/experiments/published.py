"""Figures of the paper, for comparison.

Reference:
    de Geus et al., arXiv 1809.02110, section 4.
"""

from typing import Literal, get_args

DataName = Literal["coco-val", "coco-test-dev", "vistas-val"]
"""Data that the paper measured on."""

DATA: tuple[DataName, ...] = get_args(DataName)

_ROWS = ("all", "things", "stuff")
_FIGURES = ("pq", "sq", "rq")

_TABLE_1: dict[DataName, tuple[tuple[float, float, float], ...]] = {
    "coco-val": ((26.9, 72.4, 35.7), (29.3, 72.1, 39.2), (23.3, 73.0, 30.4)),
    "coco-test-dev": ((27.2, 71.9, 35.9), (29.6, 71.6, 39.4), (23.4, 72.3, 30.6)),
    "vistas-val": ((17.6, 55.9, 23.5), (10.0, 47.6, 14.1), (27.5, 66.9, 35.8)),
}

TABLE_4: dict[DataName, float] = {"coco-val": 82.7, "vistas-val": 36.3}
"""Mean recall of the region proposals in percent; of how many, the paper does not say."""


def table1(name: DataName) -> dict[str, dict[str, float]]:
    """Give PQ, SQ and RQ in percent, for all classes, things and stuff."""
    return {
        row: dict(zip(_FIGURES, figures, strict=True))
        for row, figures in zip(_ROWS, _TABLE_1[name], strict=True)
    }
