"""Panoptic quality of predictions that lie in files."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jsisnet.categories import Categories
from jsisnet.evaluation.panoptic_quality import PanopticQuality, count
from jsisnet.formats.coco import Annotation, read_annotations, read_png


def score(  # noqa: PLR0913 - two sets of files, each with its folder, and options
    truth_json: Path,
    prediction_json: Path,
    *,
    truth_pngs: Path | None = None,
    prediction_pngs: Path | None = None,
    recount_areas: bool = False,
    all_crowds: bool = False,
    on_image: Callable[[int, int], object] | None = None,
) -> tuple[PanopticQuality, Categories]:
    """Measure predictions against a ground truth, both in COCO panoptic format.

    Predictions for other images than those of the truth are ignored, and of several predictions
    for one image the last one counts.

    Args:
        truth_json: Ground truth.
        prediction_json: Predictions; their category ids are those of the truth.
        truth_pngs: Folder of the true maps; default: named like the JSON file, beside it.
        prediction_pngs: Folder of the predicted maps; default: likewise.
        recount_areas: Whether to accept a truth whose areas differ from its PNGs.
        all_crowds: As in `count`.
        on_image: Called after each image with the numbers of images done and in total.

    Returns:
        Sums over all images of the truth, and the categories of the truth.

    Raises:
        ValueError: If a file breaks the format, an image has no prediction, or two maps differ in
            size; the message names file and image.
    """
    truth = read_annotations(truth_json, pngs=truth_pngs)
    categories = truth.categories
    prediction = read_annotations(
        prediction_json, pngs=prediction_pngs, categories=categories, predicted=True
    )
    predicted = {annotation.image_id: annotation for annotation in prediction.annotations}
    for annotation in truth.annotations:
        if annotation.image_id not in predicted:
            raise ValueError(
                f"{prediction_json}: has no prediction for image {annotation.image_id!r}"
            )

    def quality_of(annotation: Annotation) -> PanopticQuality:
        other = predicted[annotation.image_id]
        true_map = read_png(annotation, categories, recount_areas=recount_areas)
        predicted_map = read_png(other, categories)
        try:
            return count(true_map, predicted_map, len(categories), all_crowds=all_crowds)
        except ValueError as error:
            raise ValueError(f"{other.png}: image {annotation.image_id!r}: {error}") from None

    total = PanopticQuality.zero(len(categories))
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for done, quality in enumerate(threads.map(quality_of, truth.annotations), 1):
            total += quality
            if on_image is not None:
                on_image(done, len(truth.annotations))
    return total, categories
