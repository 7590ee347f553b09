"""Other networks' instances and semantic predictions in, panoptic files out."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jsisnet.files.processes import in_order
from jsisnet.formats import coco
from jsisnet.formats.coco_results import RegionList, ResultsFile
from jsisnet.formats.image_list import ImageList, ListedImage
from jsisnet.formats.predictions import BoxMasks, Labels, Scores, SemanticFolder, read_box_masks
from jsisnet.inference import kirillov
from jsisnet.inference.kirillov import KirillovConfig, Region
from jsisnet.inference.rules import MergeConfig
from jsisnet.panoptic import IGNORE, ImageId, PanopticMap, Segment

# `jsisnet.inference.external` needs torch, which takes seconds to start: most files can be merged
# by Kirillov's rules without it.


@dataclass(frozen=True, kw_only=True, slots=True)
class Predictions:
    """What two networks predict for the same images."""

    wanted: ImageList
    """The images, and the classes."""

    instances: ResultsFile | Path
    """Results, best score first, or a folder with arrays for each image."""

    semantic: ResultsFile | SemanticFolder
    """Regions of stuff, or a map or scores for each image."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Merged:
    """What a process tells about an image whose PNG it has written."""

    described: list[dict[str, object]]
    """Segments, as the JSON file lists them."""


def merge_files(
    predictions: Predictions,
    config: MergeConfig | KirillovConfig,
    out: Path,
    *,
    processes: int = 1,
    on_image: Callable[[int, int], object] = lambda *_: None,
) -> int:
    """Merge the predictions for every image into COCO panoptic files.

    Args:
        predictions: Of the two networks.
        config: JSIS-Net's rules, or Kirillov's. The merge is done at the size of the photos.
        out: JSON file to write; the folder of the PNGs is named like it, beside it.
        processes: How many share the work.
        on_image: Is told the numbers of images done and in total.

    Returns:
        The number of segments.

    Raises:
        ValueError: If a prediction is missing or broken; the message names the file and the place.
    """
    wanted = predictions.wanted
    if not wanted.categories.stuff_labels:
        raise ValueError(
            f"none of the {len(wanted.categories)} categories for {wanted.path} is stuff; expected "
            "categories with an 'isthing' of 0 or 1"
        )
    _refuse_missing(predictions)
    segments = 0
    pngs = out.with_suffix("")
    with coco.writing(out, wanted.categories, pngs=pngs) as writer:
        work = _Work(predictions, config, pngs)
        merged = in_order(work, len(wanted.images), processes)
        images = enumerate(zip(wanted.images.items(), merged, strict=True), 1)
        for done, ((image_id, image), result) in images:
            writer.note(result.described, image_id=image_id, image_name=image.name, size=image.size)
            segments += len(result.described)
            on_image(done, len(wanted.images))
    return segments


def _refuse_missing(predictions: Predictions) -> None:
    """Notice missing files before hours of work, not after them."""
    for image in predictions.wanted.images.values():
        if isinstance(predictions.semantic, SemanticFolder):
            predictions.semantic.file(image)
        if isinstance(predictions.instances, Path):
            arrays = _arrays(predictions.instances, image)
            if not arrays.is_file():
                raise ValueError(f"{arrays}: does not exist")


@dataclass(frozen=True, slots=True)
class _Work:
    """What several processes share."""

    predictions: Predictions
    config: MergeConfig | KirillovConfig
    pngs: Path

    def __call__(self, first: int, step: int) -> Iterator[_Merged]:
        wanted = self.predictions.wanted
        for image_id, image in list(wanted.images.items())[first::step]:
            panoptic = _merge(self.predictions, self.config, image_id)
            coco.write_png(panoptic, self.pngs / image.png)
            yield _Merged(described=coco.segments_info(panoptic, wanted.categories))


def _merge(
    predictions: Predictions, config: MergeConfig | KirillovConfig, image_id: ImageId
) -> PanopticMap:
    if isinstance(config, KirillovConfig):
        size = predictions.wanted.images[image_id].size
        things = _regions_of_things(predictions, config, image_id)
        stuff = _regions_of_stuff(predictions, image_id)
        return kirillov.combine(things, stuff, size=size, config=config)
    from jsisnet.inference import external

    return external.merge(
        _things(predictions, image_id),
        _semantic(predictions, image_id),
        size=predictions.wanted.images[image_id].size,
        stuff_labels=predictions.wanted.categories.stuff_labels,
        config=config,
    )


def _things(predictions: Predictions, image_id: ImageId) -> RegionList | BoxMasks:
    if isinstance(predictions.instances, ResultsFile):
        return predictions.instances.of_image(image_id)
    wanted = predictions.wanted
    arrays = _arrays(predictions.instances, wanted.images[image_id])
    return read_box_masks(arrays, wanted.categories)


def _semantic(predictions: Predictions, image_id: ImageId) -> Scores | Labels:
    image = predictions.wanted.images[image_id]
    if isinstance(predictions.semantic, SemanticFolder):
        return predictions.semantic.read(image)
    labels = np.full(image.size, IGNORE, np.int32)
    for segment, (window, mask) in predictions.semantic.of_image(image_id).drawn():
        free = mask & (labels[window] == IGNORE)
        labels[window][free] = segment.label
    return labels


def _regions_of_things(
    predictions: Predictions, config: KirillovConfig, image_id: ImageId
) -> Iterable[Region]:
    things = _things(predictions, image_id)
    if isinstance(things, RegionList):
        return things.drawn()
    from jsisnet.inference import external

    size = predictions.wanted.images[image_id].size
    return external.regions(things, size, min_score=config.min_score, min_mask=config.min_mask)


def _regions_of_stuff(predictions: Predictions, image_id: ImageId) -> Iterable[Region]:
    if isinstance(predictions.semantic, ResultsFile):
        return predictions.semantic.of_image(image_id).drawn()
    labels = _semantic(predictions, image_id)
    if labels.dtype.kind == "f":
        from jsisnet.inference import external

        labels = external.best_labels(labels, predictions.wanted.images[image_id].size)
    whole = (slice(None), slice(None))
    present = np.bincount(labels.ravel(), minlength=IGNORE + 1)
    return (
        (Segment(label=label, isthing=False), (whole, labels == label))
        for label in predictions.wanted.categories.stuff_labels
        if present[label]
    )


def _arrays(folder: Path, image: ListedImage) -> Path:
    return folder / Path(image.name).with_suffix(".npz")
