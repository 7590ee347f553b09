"""Merging of any networks' predictions on disk into COCO panoptic files."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from jsisnet.arrays import Float32
from jsisnet.files.links import Links
from jsisnet.files.memory import check_memory
from jsisnet.files.processes import in_order
from jsisnet.formats import coco
from jsisnet.formats.coco_results import RegionList, ResultsFile
from jsisnet.formats.image_list import ImageList, ListedImage
from jsisnet.formats.predictions import BoxMasks, Labels, Scores, SemanticFolder, read_box_masks
from jsisnet.formats.records import size_text
from jsisnet.inference import kirillov
from jsisnet.inference.kirillov import KirillovConfig, Region
from jsisnet.inference.merge import Instances, ThingMasks, merge_masks, thing_masks
from jsisnet.inference.raster import Window
from jsisnet.inference.rules import MergeConfig
from jsisnet.inference.written_files import locked, read_written
from jsisnet.panoptic import ImageId, PanopticMap, void_label

_MERGED = 16
"""Bytes of memory for each pixel of an image that is merged and written."""

_NOTE = ".merge.json"
"""Name of the note of the PNGs that were written, in their folder; see `WrittenFiles`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Predictions:
    """Instance and semantic predictions for the same images."""

    wanted: ImageList
    """Images to merge, and the classes."""

    instances: ResultsFile | Path
    """COCO results, best score first, or a folder with one ``.npz`` file per image."""

    semantic: ResultsFile | SemanticFolder
    """COCO results of stuff, or a folder with a map or scores for each image."""


def merge_files(
    predictions: Predictions,
    config: MergeConfig | KirillovConfig,
    out: Path,
    *,
    processes: int = 1,
    on_image: Callable[[int, int], object] = lambda *_: None,
) -> int:
    """Merge the predictions for every image into COCO panoptic files.

    Files of an earlier merge are replaced. The JSON file is deleted first and written last, so that
    it never describes PNGs of two merges.

    Args:
        predictions: Predictions of the two networks.
        config: JSIS-Net's rules, or Kirillov's. Merging is done at the size of the images.
        out: JSON file to write; its PNGs go to the folder of the same name without suffix.
        processes: Number of worker processes.
        on_image: Called after each image with the number of images done and the total.

    Returns:
        Number of segments written.

    Raises:
        ValueError: If a prediction is missing or invalid; the message names file and position. If
            another process is writing to the folder of the PNGs, or a PNG would overwrite a file
            that no earlier merge has written.
    """
    wanted = predictions.wanted
    if not wanted.categories.stuff_labels:
        raise ValueError(
            f"none of the {len(wanted.categories)} categories for {wanted.path} is stuff; expected "
            "at least one category with 'isthing' 0"
        )
    _refuse_large(wanted)
    _refuse_missing(predictions)
    segments = 0
    pngs = out.with_suffix("")
    with locked(pngs), _writing(out, wanted) as writer:
        merged = in_order(_MergeEach(predictions, config, pngs), len(wanted.images), processes)
        images = enumerate(zip(wanted.images.items(), merged, strict=True), 1)
        for done, ((image_id, image), segments_info) in images:
            writer.note(segments_info, image_id=image_id, image_name=image.name, size=image.size)
            segments += len(segments_info)
            on_image(done, len(wanted.images))
    return segments


@contextmanager
def _writing(out: Path, wanted: ImageList) -> Iterator[coco.Writer]:
    """Open the files of a merge, after those of an earlier one are deleted."""
    pngs = out.with_suffix("")
    written = read_written(pngs / _NOTE, "merge", anew=True)
    written.claim([image.png for image in wanted.images.values()], [out])
    with coco.writing(out, wanted.categories, pngs=pngs) as writer:
        yield writer


def _refuse_large(wanted: ImageList) -> None:
    """Check that the memory of a picture is enough for each size that the list declares."""
    for image_id, image in wanted.images.items():
        try:
            check_memory(_MERGED * math.prod(image.size), f"{size_text(image.size)} pixels")
        except ValueError as error:
            raise ValueError(f"{wanted.path}: image {image_id!r}: {error}") from None


def _refuse_missing(predictions: Predictions) -> None:
    """Check that every input file exists, and where links lead, before hours of work."""
    semantic, instances = predictions.semantic, predictions.instances
    if isinstance(semantic, SemanticFolder):
        links = Links(semantic.folder)
        for image in predictions.wanted.images.values():
            links.refuse(semantic.file(image))
    if isinstance(instances, Path):
        links = Links(instances)
        for image in predictions.wanted.images.values():
            arrays = _arrays(instances, image)
            if not arrays.is_file():
                raise ValueError(f"{arrays}: does not exist")
            links.refuse(arrays)


@dataclass(frozen=True, slots=True)
class _MergeEach:
    """Merge some of the images, write their PNGs, and yield their ``segments_info``."""

    predictions: Predictions
    config: MergeConfig | KirillovConfig
    pngs: Path

    def __call__(self, numbers: Iterable[int]) -> Iterator[list[dict[str, object]]]:
        wanted = self.predictions.wanted
        images = list(wanted.images.items())
        for image_id, image in (images[number] for number in numbers):
            panoptic = _merge(self.predictions, self.config, image_id)
            coco.write_png(panoptic, self.pngs / image.png)
            yield coco.segments_info(panoptic, wanted.categories)


def _merge(
    predictions: Predictions, config: MergeConfig | KirillovConfig, image_id: ImageId
) -> PanopticMap:
    wanted = predictions.wanted
    size = wanted.images[image_id].size
    things = _things(predictions, image_id)
    if isinstance(config, KirillovConfig):
        regions = _thing_regions(things, size, config)
        stuff = _stuff_regions(predictions, image_id, config)
        return kirillov.combine(regions, stuff, size=size, config=config)
    min_scores = config.min_scores(wanted.categories)
    return merge_masks(
        _binary_masks(things.above(min_scores))
        if isinstance(things, RegionList)
        else _paste(things, size, min_scores, config),
        _semantic(predictions, image_id),
        size=size,
        stuff_labels=wanted.categories.stuff_labels,
        config=replace(config, canvas="original"),
    )


def _things(predictions: Predictions, image_id: ImageId) -> RegionList | BoxMasks:
    if isinstance(predictions.instances, ResultsFile):
        return predictions.instances.of_image(image_id)
    wanted = predictions.wanted
    arrays = _arrays(predictions.instances, wanted.images[image_id])
    return read_box_masks(arrays, wanted.categories)


def _arrays(folder: Path, image: ListedImage) -> Path:
    return folder / Path(image.name).with_suffix(".npz")


def _semantic(predictions: Predictions, image_id: ImageId) -> Scores | Labels:
    image = predictions.wanted.images[image_id]
    void = void_label(len(predictions.wanted.categories))
    if isinstance(predictions.semantic, SemanticFolder):
        return predictions.semantic.read(image)
    labels = np.full(image.size, void, np.int32)
    for segment, (window, mask) in predictions.semantic.of_image(image_id).draw():
        free = mask & (labels[window] == void)
        labels[window][free] = segment.label
    return labels


def _binary_masks(things: RegionList) -> ThingMasks:
    def masks() -> Iterator[tuple[Window, Float32[np.ndarray, "h w"]]]:
        for _, (window, mask) in things.draw():
            yield window, mask.astype(np.float32)

    return ThingMasks(segments=things.segments, masks=masks)


def _paste(
    things: BoxMasks, size: tuple[int, int], min_scores: Sequence[float], config: MergeConfig
) -> ThingMasks:
    instances = Instances(
        boxes=things.boxes, labels=things.labels, scores=things.scores, masks=things.masks
    ).above(min_scores)
    rules = replace(config, min_score=0.0, class_min_scores=())
    return thing_masks(instances, frame=size, canvas=size, config=rules)


def _thing_regions(
    things: RegionList | BoxMasks, size: tuple[int, int], config: KirillovConfig
) -> Iterator[Region]:
    """Yield the instances that take part, best score first, with binary masks."""
    if isinstance(things, RegionList):
        return things.draw()
    min_scores = [config.min_score] * (1 + max(things.labels.tolist(), default=0))
    return kirillov.thing_regions(_paste(things, size, min_scores, MergeConfig()), config)


def _stuff_regions(
    predictions: Predictions, image_id: ImageId, config: KirillovConfig
) -> Iterable[Region]:
    """Return the regions of the stuff classes; those of label maps are in order of the label."""
    if isinstance(predictions.semantic, ResultsFile):
        return predictions.semantic.of_image(image_id).draw()
    wanted = predictions.wanted
    semantic, size = _semantic(predictions, image_id), wanted.images[image_id].size
    return kirillov.stuff_regions(semantic, size, wanted.categories.stuff_labels, config)
