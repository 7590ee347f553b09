"""CamVid as distributed with the SegNet tutorial, as a data set with things.

Components of its class maps become the things.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from skimage.measure import label as components

from jsisnet.arrays import Shaped
from jsisnet.categories import Categories, Category
from jsisnet.datatools.parts import link_or_copy
from jsisnet.files.journal import JOURNAL, open_journal, refuse_other_files
from jsisnet.files.links import Links
from jsisnet.files.photos import read_image
from jsisnet.files.png import read_values
from jsisnet.formats import coco
from jsisnet.panoptic import VOID, PanopticMap, Segment

NAME = "camvid"
"""Folder of the data set."""

FRAMES = {"train": 367, "val": 101}
"""Number of frames of each split."""

_STUFF = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence")
_THINGS = ("car", "pedestrian", "bicyclist")
CATEGORIES = Categories(
    tuple(
        Category(id=number, name=name, isthing=name in _THINGS)
        for number, name in enumerate((*_STUFF, *_THINGS), 1)
    )
)
"""Classes in the order of the values in the class maps, which begin at 0."""

_UNLABELLED = len(CATEGORIES)
_MIN_AREA = 30
"""Pixels of a component of a thing class; smaller ones are void."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Frame:
    photo: Path
    classes: Path
    """Its class map."""


def convert(
    root: Path, out: Path, *, on_photo: Callable[[int, int], object] = lambda *_: None
) -> None:
    """Convert CamVid to COCO panoptic format. Photos are hard links if possible.

    Args:
        root: CamVid: ``train`` and ``val``, with class maps in ``trainannot`` and ``valannot``.
        out: Folder for the data set.
        on_photo: Called with the number of photos done and the total.

    Raises:
        ValueError: If a photo or a class map is missing, invalid or a link that leads out of
            `root`; or if there are other files where the data set is to be.
    """
    folder = out / NAME
    refuse_other_files(folder / JOURNAL)
    links = Links(root)
    splits = {split: _find(root, split, links) for split in FRAMES}
    total = sum(map(len, splits.values()))
    done = 0
    with open_journal(folder / JOURNAL, f"{NAME} of {root.resolve()}") as unfinished:
        for split, frames in splits.items():
            annotations = folder / "annotations" / f"panoptic_{split}.json"
            with coco.writing(annotations, CATEGORIES) as writer:
                for number, frame in enumerate(frames, 1):
                    name = frame.photo.name
                    writer.add(_read(frame), image_id=number, image_name=name)
                    link_or_copy(frame.photo, folder / split / name)
                    done += 1
                    on_photo(done, total)
        unfinished.finish({})


def split_things(classes: Shaped[np.ndarray, "h w"]) -> PanopticMap:
    """Return the panoptic map of a class map.

    Each 8-connected component of a thing class with at least 30 pixels is a thing.

    Args:
        classes: Labels of the pixels; 11 is unlabelled.

    Raises:
        ValueError: If a value is above 11.
    """
    if classes.max() > _UNLABELLED:
        raise ValueError(f"found the class {classes.max()}; expected 0 to {_UNLABELLED}")
    ids = np.full(classes.shape, VOID, np.int32)
    segments: list[Segment] = []
    for label, category in enumerate(CATEGORIES):
        mask = classes == label
        regions = components(mask, connectivity=2) if category.isthing else mask.astype(np.int32)
        for number, area in enumerate(np.bincount(regions.ravel())[1:].tolist(), 1):
            if area < _MIN_AREA and category.isthing:
                continue
            segments.append(Segment(label=label, isthing=category.isthing))
            ids[regions == number] = len(segments)
    return PanopticMap(ids, tuple(segments))


def _find(root: Path, split: str, links: Links) -> list[_Frame]:
    """Return the frames of a split, sorted by name."""
    folders = split, f"{split}annot"
    photos, maps = (
        set(links.files(each, iswanted=lambda name: name.lower().endswith(".png")))
        for each in folders
    )
    if len(photos) != FRAMES[split]:
        raise ValueError(
            f"{root / split}: {len(photos)} PNGs; expected the {FRAMES[split]} of CamVid as "
            "distributed with the SegNet tutorial"
        )
    for name in sorted(photos ^ maps):
        having, lacking = folders if name in photos else folders[::-1]
        raise ValueError(f"{root / having / name}: {root / lacking} has no such file")
    return [
        _Frame(photo=root / folders[0] / name, classes=root / folders[1] / name)
        for name in sorted(photos)
    ]


def _read(frame: _Frame) -> PanopticMap:
    """Read a class map, and check that it fits its photo."""
    try:
        classes = read_values(frame.classes)
        if classes.ndim != 2:  # noqa: PLR2004 - height and width
            raise ValueError("has colours; expected a class in each pixel")
        panoptic = split_things(classes)
    except ValueError as error:
        raise ValueError(f"{frame.classes}: {error}") from None
    height, width, _ = read_image(frame.photo).shape
    if panoptic.size != (height, width):
        raise ValueError(f"{frame.classes}: not as large as {frame.photo}")
    return panoptic
