"""A network measured on a data set."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from jsisnet.data.dataset import PanopticDataset
from jsisnet.data.sample import Sample
from jsisnet.evaluation.panoptic_quality import PanopticQuality, count
from jsisnet.formats import coco
from jsisnet.panoptic import PanopticMap
from jsisnet.predictor import Predictor

TRUTH, PREDICTIONS = "truth.json", "predictions.json"
"""Names of the files that an evaluation writes; their PNGs lie in the folders named like them."""


def evaluate(
    predictor: Predictor,
    dataset: PanopticDataset,
    *,
    out: Path | None = None,
    on_image: Callable[[int, int], None] | None = None,
) -> PanopticQuality:
    """Segment every photo of a data set and compare with its ground truth.

    Args:
        predictor: The network.
        dataset: Opened with the predictor's categories.
        out: Folder that receives predictions and ground truth, both in the predictor's classes and
            in COCO's panoptic format.
        on_image: Is told the number of photos done and their total.

    Returns:
        Sums over the photos, one value per label of the predictor.

    Raises:
        ValueError: If a photo or its ground truth is damaged.
    """
    total = PanopticQuality.zero(len(predictor.categories))
    with ExitStack() as stack:
        written = None if out is None else stack.enter_context(_writing(out, predictor))
        for index in range(len(dataset)):
            sample = dataset[index]
            prediction = predictor(sample.image.permute(1, 2, 0).numpy())
            total += count(sample.panoptic, prediction, len(predictor.categories))
            if written is not None:
                written.add(sample, prediction, dataset.image_name(index))
            if on_image is not None:
                on_image(index + 1, len(dataset))
    return total


@dataclass(frozen=True, kw_only=True, slots=True)
class _Written:
    """Files of predictions and ground truth under way."""

    truth: coco.Writer
    predictions: coco.Writer

    def add(self, sample: Sample, prediction: PanopticMap, name: str) -> None:
        for writer, panoptic in ((self.truth, sample.panoptic), (self.predictions, prediction)):
            writer.add(panoptic, image_id=sample.image_id, image_name=name)


@contextmanager
def _writing(out: Path, predictor: Predictor) -> Iterator[_Written]:
    with (
        coco.writing(out / TRUTH, predictor.categories) as truth,
        coco.writing(out / PREDICTIONS, predictor.categories) as predictions,
    ):
        yield _Written(truth=truth, predictions=predictions)
