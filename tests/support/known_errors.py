"""Predictions with known errors for the synthetic streets."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import factories
from factories import BUS, CAR, CATEGORIES, PERSON, SKY
from jsisnet.evaluation.compared_files import ComparedFiles, CompareRules
from jsisnet.evaluation.score import Score, score
from jsisnet.formats import coco
from jsisnet.panoptic import PanopticMap
from jsisnet.visualize.report.report_data import ReportData

MISCLASSIFIED, MISSED, SPLIT, RIGHT, SPURIOUS, INEXACT = (100 + index for index in range(6))
"""Image ids by the kind of error in their predictions."""

SCORE = 0.75
"""Score of each predicted thing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """Ground truth and predictions, and the result of comparing them."""

    truth: factories.TinyDataset
    predictions: Path
    score: Score
    data: ReportData


def written(folder: Path, size: tuple[int, int] = (64, 96)) -> tuple[factories.TinyDataset, Path]:
    """Write streets and predictions for them."""
    truth, predictions = (
        factories.tiny_dataset(folder / "truth", size=size),
        folder / "predictions.json",
    )
    with coco.writing(predictions, CATEGORIES) as writer:
        for index in range(6):
            writer.add(
                prediction(index, size), image_id=100 + index, image_name=f"street{index}.png"
            )
    return truth, predictions


def compared(folder: Path, size: tuple[int, int] = (64, 96)) -> Compared:
    """Write streets and predictions, and compare them."""
    return of_files(*written(folder, size))


def of_files(
    truth: factories.TinyDataset, predictions: Path, rules: CompareRules | None = None
) -> Compared:
    """Compare two files."""
    files = ComparedFiles(truth.annotations, predictions, rules=rules)
    data = ReportData(files.categories)
    total = score(files, on_image=data.add)
    return Compared(truth=truth, predictions=predictions, score=total, data=data)


def prediction(index: int, size: tuple[int, int] = (64, 96)) -> PanopticMap:
    """Return the map of a street with the error that its image id stands for."""
    truth = factories.tiny_map(index, size)
    ids, number = truth.ids.copy(), 100 + index
    segments = [
        replace(info, iscrowd=False, score=SCORE if info.isthing else None)
        for info in truth.segments
    ]
    labels = [info.label for info in segments]
    car, person = labels.index(CAR), labels.index(PERSON)
    columns = np.flatnonzero((ids == car + 1).any(0))
    half, most = (ids[:, columns[len(columns) // part] :] for part in (2, 3))
    if number == MISCLASSIFIED:
        segments[car] = replace(segments[car], label=BUS)
    elif number == MISSED:
        ids[ids == person + 1] = 0
    elif number == SPLIT:
        segments.append(segments[car])
        half[half == car + 1] = len(segments)
    elif number == SPURIOUS:
        segments.append(replace(segments[car], score=SCORE))
        ids[: size[0] // 6, : size[1] // 5] = len(segments)
    elif number == INEXACT:
        most[most == car + 1] = labels.index(SKY) + 1
    return PanopticMap.compact(ids, segments)
