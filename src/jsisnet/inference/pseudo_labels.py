"""Pseudo-labels: what a data set does not label, filled with a model's confident predictions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from multiprocessing import parent_process
from pathlib import Path

import numpy as np

from jsisnet.arrays import Bool, Float, Int32, UInt8
from jsisnet.categories import Categories
from jsisnet.checks import check_fractions
from jsisnet.files.photos import read_image
from jsisnet.formats import coco, image_list
from jsisnet.formats.records import Record, Source, Target, Written, relabel, size_text
from jsisnet.inference.engine import AUTO, EngineOptions, Outputs
from jsisnet.inference.predictor import Predictor
from jsisnet.inference.raster import softmax
from jsisnet.panoptic import VOID, PanopticMap, Segment

PSEUDO = "pseudo"
"""Key of the JSON entries of filled segments, which is true; they have a ``score``, too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PseudoConfig:
    """How sure predictions must be."""

    min_score: float = 0.7
    """Lowest score of a thing."""

    min_probability: float = 0.8
    """Lowest probability of the class of a pixel of stuff."""

    min_area: float = 0.002
    """Smallest area of a filled segment, as a part of the image."""

    min_visible: float = 0.5
    """Things of which the truth leaves a smaller part visible are left out."""

    def __post_init__(self) -> None:
        check_fractions(self, "min_score", "min_probability", "min_area", "min_visible")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelName:
    """A model by name and how it runs; worker processes load it by this."""

    model: str
    engine: str = AUTO
    device: str = AUTO
    threads: int | None = None
    """Threads on a CPU; ``None`` for one per core, and a single one in worker processes."""
    precision: str = "float32"

    def load(self) -> Predictor:
        """Load the model, once in each process."""
        return _loaded(self)


@lru_cache(1)
def _loaded(name: ModelName) -> Predictor:
    threads = name.threads or (1 if parent_process() is not None else None)
    options = EngineOptions(device=name.device, threads=threads, precision=name.precision)
    return Predictor(name.model, engine=name.engine, options=options)


def fill(
    truth: PanopticMap,
    image: UInt8[np.ndarray, "h w 3"],
    predictor: Predictor,
    fillable: Sequence[bool],
    config: PseudoConfig,
) -> PanopticMap:
    """Fill pixels without a class with confident predictions.

    Truth wins wherever it is. Stuff needs a class of which the truth of the image has no segment.

    Args:
        truth: True map of the image, in the classes of the predictor.
        image: The image.
        predictor: The model.
        fillable: For each label, whether it may be filled. What the data set labels completely
            should not: it labels all that is there.
        config: How sure predictions must be.

    Returns:
        The true segments without scores, then the filled ones, all with a score: that of a thing,
        or the mean probability of stuff. Unsure pixels stay void.
    """
    outputs = predictor.outputs_from(image, config.min_score)
    if not isinstance(outputs, Outputs):
        raise ValueError(
            f"the engine {predictor.engine.name} predicts panoptic maps at once, without "
            "probabilities; expected a network with a semantic or an instance branch"
        )
    rules = replace(
        predictor.config.merge,
        canvas="original",
        min_score=config.min_score,
        class_min_scores=(),
        min_stuff_area=0.0,
        min_stuff_probability=config.min_probability,
        fallback="void",
    )
    predicted = predictor.merge(outputs, truth.size, rules)
    segments = [replace(segment, score=None) for segment in truth.segments]
    ids = truth.ids.copy()
    known = {segment.label for segment in truth.segments if not segment.isthing}
    areas = predicted.areas().tolist()
    for number, segment in enumerate(predicted.segments, 1):
        if not fillable[segment.label] or segment.label in known:
            continue
        pixels = (predicted.ids == number) & (truth.ids == VOID)
        visible = int(np.count_nonzero(pixels))
        least = config.min_visible * areas[number - 1] if segment.isthing else 0
        if visible and visible >= max(least, config.min_area * ids.size):
            segments.append(_scored(segment, pixels, outputs))
            ids[pixels] = len(segments)
    return PanopticMap.compact(ids, segments)


def _scored(segment: Segment, pixels: Bool[np.ndarray, "h w"], outputs: Outputs) -> Segment:
    """Give a segment of stuff the mean probability of its pixels."""
    if segment.isthing or outputs.semantic is None:
        return segment
    probabilities = softmax(outputs.semantic, axis=0)[segment.label]
    return replace(segment, score=float(_nearest(probabilities, pixels.shape)[pixels].mean()))


def _nearest(grid: Float[np.ndarray, "gh gw"], size: tuple[int, ...]) -> Float[np.ndarray, "h w"]:
    """Enlarge a grid: each pixel takes the value of its cell."""
    rows, columns = (
        (np.arange(side) * cells) // side for side, cells in zip(size, grid.shape, strict=True)
    )
    enlarged: Float[np.ndarray, "h w"] = grid[np.ix_(rows, columns)]
    return enlarged


def unlabelled(photos: Path) -> Source:
    """Return the photos of a folder as a data set without classes, whose maps are void.

    Raises:
        ValueError: If there is no photo, or one is damaged.
    """
    records = tuple(
        Record(
            image_id=number,
            name=image.name,
            image=photos / image.name,
            size=image.size,
            read=partial(_void, image.size),
        )
        for number, image in image_list.of_folder(photos).items()
    )
    return Source(categories=Categories(()), records=records)


def _void(size: tuple[int, int]) -> PanopticMap:
    ids: Int32[np.ndarray, "h w"] = np.full(size, VOID, np.int32)
    return PanopticMap(ids, ())


def pseudo_labelled(source: Source, name: ModelName, config: PseudoConfig) -> Source:
    """Return a data set in the classes of a model, filled as its maps are read.

    Args:
        source: Data set whose photos are known.
        name: The model.
        config: How sure predictions must be.

    Raises:
        ValueError: If a class of the data is not one of the model, or there is no such model.
    """
    predictor = name.load()
    categories = predictor.categories
    try:
        labels = categories.labels_of(source.categories)
    except ValueError as error:
        raise ValueError(
            f"{error} of {name.model}; expected data in these, or a part of them"
        ) from None
    fillable = tuple(not labelled for labelled in categories.labelled_by(source.categories))
    fingerprint = f"{predictor.engine.fingerprint()} {predictor.config}"
    records = tuple(
        replace(record, read=_Filled(record, labels, fillable, name, config, fingerprint))
        for record in source.records
    )
    return replace(source, categories=categories, records=records)


@dataclass(frozen=True, slots=True)
class _Filled:
    """Reads the map of a record, and fills it."""

    record: Record
    labels: tuple[int, ...]
    fillable: tuple[bool, ...]
    model: ModelName
    config: PseudoConfig
    fingerprint: str
    """Hash of the model, so that a conversion is not resumed with another one."""

    def __call__(self) -> PanopticMap:
        predictor = self.model.load()
        assert self.record.image is not None
        image = read_image(self.record.image)
        truth = relabel(self.record.read(), self.labels, predictor.categories)
        if truth.size != image.shape[:2]:
            raise ValueError(
                f"{self.record.image}: {size_text(image.shape[:2])} pixels, but its ground truth "
                f"is {size_text(truth.size)}"
            )
        return fill(truth, image, predictor, self.fillable, self.config)


def pseudo_target(folder: Path, categories: Categories) -> Target:
    """Prepare to write maps in COCO panoptic format, with filled segments marked."""
    return replace(coco.coco_target(folder, categories), write_map=_write_map)


def _write_map(folder: Path, categories: Categories, panoptic: PanopticMap, stem: str) -> Written:
    written = coco.coco_target(folder, categories).write(panoptic, stem)
    assert written.annotation is not None
    entries = coco.segments_info(panoptic, categories)
    marked = [each | ({PSEUDO: True} if "score" in each else {}) for each in entries]
    return replace(written, annotation={**written.annotation, "segments_info": marked})
