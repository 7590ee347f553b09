"""The work on one photo: decode, segment, encode."""

import io
import time
import traceback
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from jsisnet.arrays import UInt8
from jsisnet.files.photos import read_header, to_rgb
from jsisnet.inference.engine import Extras
from jsisnet.inference.predictor import Predictor
from jsisnet.inference.result import Result
from jsisnet.panoptic import VOID, PanopticMap
from jsisnet.serve import responses
from jsisnet.serve.batcher import Batcher, Photo, Prediction
from jsisnet.serve.jobs import Answer, Description, Refusal, Task
from jsisnet.visualize.palette import class_colors

_LANES_PER_PHOTO = 2
"""Photos taken for each of a batch, so that some are decoded and encoded while others run."""

MAX_LANES = 16
"""Photos that a worker takes at a time, at most."""

_TRACE = 4_000
"""Characters of a traceback for the log."""


class _TooLargeError(ValueError):
    """A photo with more pixels than the limit."""


class Segmenter:
    """A loaded model that answers tasks; several threads may call it."""

    def __init__(self, predictor: Predictor, max_pixels: int) -> None:
        """Prepare a model.

        Args:
            predictor: The model.
            max_pixels: Pixels of the largest photo that is decoded.
        """
        self.predictor, self.max_pixels = predictor, max_pixels
        batch = 1 if predictor.config.size is None else predictor.engine.batch_size
        self.lanes = 1 if batch == 1 else min(MAX_LANES, _LANES_PER_PHOTO * batch)
        self._run: Callable[[Photo], Prediction] = (
            predictor.outputs if batch == 1 else Batcher(predictor.run, batch)
        )

    def describe(self) -> Description:
        """Return what the model is."""
        engine, colors = self.predictor.engine, class_colors(self.predictor.categories).tolist()
        return Description(
            engine=engine.name,
            device=engine.device,
            size=engine.config.size,
            categories=tuple(
                {"id": each.id, "name": each.name}
                | ({} if each.supercategory is None else {"supercategory": each.supercategory})
                | ({} if not each.members else {"members": list(each.members)})
                | {"isthing": each.isthing, "color": color}
                for each, color in zip(engine.categories, colors, strict=True)
            ),
            fingerprint=engine.fingerprint(),
            lanes=self.lanes,
        )

    def __call__(self, task: Task) -> Answer | Refusal:
        """Segment a photo; an error becomes a refusal."""
        try:
            began = time.perf_counter()
            image = self._decode(task.content)
            predictor = self._predictor(task.wishes.classes)
            panoptic = self._segment(image, predictor, task.wishes.min_score)
            seconds = time.perf_counter() - began
            result = Result(image, panoptic, predictor.categories, task.name)
            return responses.answer(result, task, seconds)
        except _TooLargeError as error:
            return Refusal(status=413, detail=str(error))
        except ValueError as error:
            return Refusal(status=422, detail=str(error))
        except MemoryError:
            return Refusal(status=503, detail="not enough memory for this photo")
        except Exception:  # a bug must not end the worker
            trace = traceback.format_exc()[-_TRACE:]
            return Refusal(status=500, detail="the photo could not be segmented", cause=trace)

    def _decode(self, content: bytes) -> UInt8[np.ndarray, "h w 3"]:
        header = read_header(io.BytesIO(content))
        if header is not None and header.size[0] * header.size[1] > self.max_pixels:
            height, width = header.size
            raise _TooLargeError(
                f"the photo has {width} x {height} pixels; expected at most {self.max_pixels:,}"
            )
        try:
            return to_rgb(content)
        except ValueError as error:
            raise ValueError(f"{error}".replace("the bytes:", "the photo:", 1)) from error

    def _predictor(self, classes: tuple[str, ...] | None) -> Predictor:
        """Return the predictor for some classes, which shares the network."""
        if classes is None:
            return self.predictor
        return Predictor(self.predictor.engine, classes=classes)

    def _segment(
        self, image: UInt8[np.ndarray, "h w 3"], predictor: Predictor, min_score: float | None
    ) -> PanopticMap:
        size = image.shape[0], image.shape[1]
        if min_score is None:
            return predictor.merge(self._run(image), size)
        config = replace(predictor.config.merge, min_score=min_score, class_min_scores=())
        return _at_least(min_score, predictor.merge(self._outputs(image, min_score), size, config))

    def _outputs(self, image: UInt8[np.ndarray, "h w 3"], min_score: float) -> Prediction:
        """Run the network; with a lower score than the model's own, select detections again."""
        own = self.predictor.config.network.detection
        if min_score >= own.min_score:
            return self._run(image)
        extras = Extras(detection=replace(own, min_score=min_score))
        found = self.predictor.outputs(image, extras)
        if isinstance(found, PanopticMap) or found.instances is None:
            return found
        if found.ranked is None:
            raise ValueError(
                f"min_score is {min_score}; this model detects things from {own.min_score} up"
            )
        return replace(found, instances=found.ranked)


def _at_least(min_score: float, panoptic: PanopticMap) -> PanopticMap:
    """Drop things of a lower score, which engines that predict maps at once may have."""
    low = [(each.score or 0) < min_score and each.isthing for each in panoptic.segments]
    if not any(low):
        return panoptic
    keep = np.array([VOID, *(0 if drop else i for i, drop in enumerate(low, 1))], np.int32)
    return PanopticMap.compact(keep[panoptic.ids], panoptic.segments)
