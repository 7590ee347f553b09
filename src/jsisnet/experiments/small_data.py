"""The small data sets of the embedded models, made from COCO and CamVid as they are downloaded.

They have the names that the built-in configurations expect:

    coco-mini             100 photos of COCO train2017 and 40 of val2017 with panoptic annotations
    coco-instances-mini   193 photos, 37 or more of val2017, of which only things are annotated
    camvid                367 and 101 frames, with connected components of the class maps as things
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np

from jsisnet.arrays import Int64, Shaped
from jsisnet.categories import Categories, Category
from jsisnet.datatools.parts import (
    Files,
    Kind,
    Listing,
    folder_of_pngs,
    link_maps,
    link_or_copy,
    read_listing,
    write_part,
)
from jsisnet.experiments.photo_ids import INSTANCES_TRAIN, PANOPTIC_TRAIN, PANOPTIC_VAL
from jsisnet.files import json_fields
from jsisnet.files.atomic import lock_folder
from jsisnet.files.links import Links
from jsisnet.files.png import read_values
from jsisnet.formats import coco
from jsisnet.panoptic import VOID, ImageId, PanopticMap, Segment


@dataclass(frozen=True, kw_only=True, slots=True)
class CocoPart:
    """Photos of COCO with one annotation file."""

    name: str
    """Name of the data set."""

    kind: Kind
    splits: tuple[str, ...]
    """Splits of COCO that the photos are from; the files are named after the first one."""

    ids: tuple[ImageId, ...]

    def annotations(self, split: str) -> str:
        """Return the path of the annotations of a split, in COCO and in the data set."""
        what = "panoptic" if self.kind == "coco" else "instances"
        return f"annotations/{what}_{split}.json"


COCO_PARTS = (
    CocoPart(name="coco-mini", kind="coco", splits=("train2017",), ids=PANOPTIC_TRAIN),
    CocoPart(name="coco-mini", kind="coco", splits=("val2017",), ids=PANOPTIC_VAL),
    CocoPart(
        name="coco-instances-mini",
        kind="coco-instances",
        splits=("train2017", "val2017"),
        ids=INSTANCES_TRAIN,
    ),
)

CAMVID_SPLITS = ("train", "val")

CAMVID = Categories(
    tuple(
        Category(id=number, name=name, isthing=name in {"car", "pedestrian", "bicyclist"})
        for number, name in enumerate(
            (
                *("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence"),
                *("car", "pedestrian", "bicyclist"),
            ),
            1,
        )
    )
)
"""Classes of CamVid in the order of the values in its class maps, which begin at 0."""

_UNLABELLED = len(CAMVID)
_MIN_AREA = 30
"""Pixels of a component of a thing class; smaller ones are void."""

OnPhoto = Callable[[int, int], object]
"""Called with the number of photos done and the total."""


def choose_coco(root: Path, out: Path, *, on_photo: OnPhoto = lambda *_: None) -> None:
    """Choose the photos of COCO. Photos and maps are hard links where the file system allows it.

    Args:
        root: COCO 2017 as unpacked: ``train2017``, ``val2017``, ``annotations``.
        out: Folder for the two data sets.
        on_photo: Called after each photo.

    Raises:
        ValueError: If a file is missing or invalid, or does not list one of the photos.
    """
    total = sum(len(part.ids) for part in COCO_PARTS)
    done = count(1)
    for part in COCO_PARTS:
        _choose(part, root, out / part.name, lambda: on_photo(next(done), total))


def _choose(part: CocoPart, root: Path, folder: Path, on_photo: Callable[[], object]) -> None:
    files = [root / part.annotations(split) for split in part.splits]
    listings = [read_listing(file, part.kind) for file in files]
    chosen = [_positions(listing, part.ids) for listing in listings]
    if sum(map(len, chosen)) < len(part.ids):
        known = set().union(*(listing.index.images.image_ids for listing in listings))
        missing = [image for image in part.ids if image not in known]
        raise ValueError(
            f"{' and '.join(map(str, files))}: {len(missing)} of {len(part.ids)} chosen images are "
            f"not listed, such as {missing[0]}; expected COCO's own annotations"
        )
    with lock_folder(folder):
        for split, listing, numbers in zip(part.splits, listings, chosen, strict=True):
            for number in numbers.tolist():
                _link_photo(listing.names[number], root / split, folder / part.splits[0])
                on_photo()
        path = folder / part.annotations(part.splits[0])
        path.parent.mkdir(exist_ok=True)
        if part.kind == "coco":
            pngs = folder_of_pngs(Files(annotations=files[0]))
            maps = dict.fromkeys(chosen[0].tolist(), path.with_suffix(""))
            link_maps(listings[0], pngs, maps, lambda *_: None)
        write_part(list(zip(listings, chosen, strict=True)), path)


def convert_camvid(root: Path, out: Path, *, on_photo: OnPhoto = lambda *_: None) -> None:
    """Convert CamVid to COCO panoptic format. Photos are hard links if possible.

    Args:
        root: CamVid as distributed with the SegNet tutorial: ``train`` and ``val``, with class maps
            in ``trainannot`` and ``valannot``.
        out: Folder for the data set.
        on_photo: Called after each photo.

    Raises:
        ValueError: If there are no photos, or a class map is missing or invalid.
    """
    splits = {split: sorted((root / split).glob("*.png")) for split in CAMVID_SPLITS}
    for split, photos in splits.items():
        if not photos:
            raise ValueError(
                f"{root / split}: no PNGs; expected CamVid as distributed with the SegNet tutorial"
            )
    total = sum(map(len, splits.values()))
    done = count(1)
    folder = out / "camvid"
    with lock_folder(folder):
        (folder / "annotations").mkdir(exist_ok=True)
        for split, photos in splits.items():
            path = folder / "annotations" / f"panoptic_{split}.json"
            with coco.writing(path, CAMVID) as writer:
                for number, photo in enumerate(photos, 1):
                    panoptic = _read_class_map(root / f"{split}annot" / photo.name)
                    writer.add(panoptic, image_id=number, image_name=photo.name)
                    _link_photo(photo.name, root / split, folder / split)
                    on_photo(next(done), total)


def split_things(classes: Shaped[np.ndarray, "h w"]) -> PanopticMap:
    """Return the panoptic map of a class map of CamVid.

    Each 8-connected component of a thing class with at least 30 pixels is a thing.

    Args:
        classes: Labels of the pixels; 11 is unlabelled.

    Raises:
        ValueError: If a value is above 11.
    """
    from skimage.measure import label as components  # noqa: PLC0415 - may be missing

    if classes.max() > _UNLABELLED:
        raise ValueError(f"found the class {classes.max()}; expected 0 to {_UNLABELLED}")
    ids = np.full(classes.shape, VOID, np.int32)
    segments: list[Segment] = []
    for label, category in enumerate(CAMVID):
        mask = classes == label
        regions = components(mask, connectivity=2) if category.isthing else mask.astype(np.int32)
        for number, area in enumerate(np.bincount(regions.ravel())[1:].tolist(), 1):
            if area < _MIN_AREA and category.isthing:
                continue
            segments.append(Segment(label=label, isthing=category.isthing))
            ids[regions == number] = len(segments)
    return PanopticMap(ids, tuple(segments))


def _read_class_map(path: Path) -> PanopticMap:
    try:
        values = read_values(path)
        if values.ndim != 2:  # noqa: PLR2004 - height and width
            raise ValueError("has colours; expected a class in each pixel")
        return split_things(values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _positions(listing: Listing, ids: Iterable[ImageId]) -> Int64[np.ndarray, " n"]:
    """Return the positions of images in a file, in the order of the ids; others are left out."""
    positions = {image: number for number, image in enumerate(listing.index.images.image_ids)}
    return np.array([positions[image] for image in ids if image in positions], np.int64)


def _link_photo(name: str, folder: Path, copies: Path) -> None:
    photo = json_fields.path_in(folder, {"file_name": name}, "file_name")
    if not photo.is_file():
        raise ValueError(f"{photo}: no such photo")
    Links(folder).refuse(photo)
    link_or_copy(photo, copies / name)
