"""Cityscapes maps: ``gtFine/*/*/*_gtFine_instanceIds.png``."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from jsisnet.categories import Categories, Category
from jsisnet.files.archives import StoredFile
from jsisnet.files.photo_folder import PhotoFolder
from jsisnet.files.png import read_values, size_of, write_values
from jsisnet.formats.class_maps import fit_ids
from jsisnet.formats.map_index import MapIndex, Photo, describe_unmapped, find_maps, record
from jsisnet.formats.pixel_codes import SegmentKey, decode, instance_numbers, lookup
from jsisnet.formats.records import (
    MERGED_CROWDS,
    SCORES,
    Source,
    Target,
    Written,
    count_merged_crowds,
    count_scores,
)
from jsisnet.panoptic import PanopticMap

MAP, PHOTO = "_gtFine_instanceIds.png", "_leftImg8bit.png"
"""Endings of the names of maps and photos."""

SPLIT = "all"
"""Split that maps are written to."""

_PER_CLASS = 1000
"""Pixels of instance i of a class have the value 1000 id + i; a value below 1000 is the id of stuff
or of a group of things."""

_HIGHEST_ID = 64
"""Highest category id whose instances all fit into 16 bits."""

_LABELS = range(46)
"""Ids of the official labels, evaluated or not; the last ones are lane markings."""

_STUFF = (
    (7, "road", "flat", (128, 64, 128)),
    (8, "sidewalk", "flat", (244, 35, 232)),
    (11, "building", "construction", (70, 70, 70)),
    (12, "wall", "construction", (102, 102, 156)),
    (13, "fence", "construction", (190, 153, 153)),
    (17, "pole", "object", (153, 153, 153)),
    (19, "traffic light", "object", (250, 170, 30)),
    (20, "traffic sign", "object", (220, 220, 0)),
    (21, "vegetation", "nature", (107, 142, 35)),
    (22, "terrain", "nature", (152, 251, 152)),
    (23, "sky", "sky", (70, 130, 180)),
)
_THINGS = (
    (24, "person", "human", (220, 20, 60)),
    (25, "rider", "human", (255, 0, 0)),
    (26, "car", "vehicle", (0, 0, 142)),
    (27, "truck", "vehicle", (0, 0, 70)),
    (28, "bus", "vehicle", (0, 60, 100)),
    (31, "train", "vehicle", (0, 80, 100)),
    (32, "motorcycle", "vehicle", (0, 0, 230)),
    (33, "bicycle", "vehicle", (119, 11, 32)),
)

CATEGORIES = Categories(
    tuple(
        Category(id=number, name=name, supercategory=group, color=color, isthing=classes is _THINGS)
        for classes in (_STUFF, _THINGS)
        for number, name, group, color in classes
    )
)
"""The evaluated classes, with the ids that the benchmark expects; all other labels are void."""


def source(
    root: Path, split: str, *, images: Path | None = None, index: MapIndex | None = None
) -> Source:
    """Open a split of the data set.

    A region of a thing class without instance numbers becomes one crowd.

    Args:
        root: Folder or zip that contains ``gtFine``.
        split: Folder of the split, such as ``train``, ``val`` or ``test``.
        images: Folder of the photos, with a folder for each city; default: see `photo_folder`.
        index: Classes and images of another data set that is encoded in the same way.

    Raises:
        ValueError: If there are no such maps.
    """
    files = find_maps(root, f"gtFine/{split}", MAP)
    images = images or photo_folder(root, split)
    coding, folder, photos = _OFFICIAL, PhotoFolder(images), dict[str, Photo]()
    if index is not None:
        categories = fit_ids(index.categories, _HIGHEST_ID)
        coding = _Coding(categories=categories, void=frozenset({0}))
        photos = dict(index.located(folder))
    records = []
    for path, file in files.items():
        stem = path.removesuffix(MAP)
        official = Photo(image_id=Path(stem).name, name=f"{stem}{PHOTO}")
        photo = photos.get(stem, official)
        records.append(record(photo, folder, partial(_read, file, coding), file))
    stems = [path.removesuffix(MAP) for path in files]
    warnings = (*folder.warnings(len(photos)), *describe_unmapped(photos, stems))
    return Source(categories=coding.categories, records=tuple(records), warnings=warnings)


def photo_folder(root: Path, split: str) -> Path | None:
    """Return the folder of the photos, ``leftImg8bit/SPLIT``, or `None` if `root` is a zip."""
    return root / "leftImg8bit" / split if root.is_dir() else None


def target(folder: Path, categories: Categories) -> Target:
    """Prepare to write maps below ``gtFine``; category ids range from 1 to 64.

    Raises:
        ValueError: If there are too many classes.
    """
    return Target(folder=folder, categories=fit_ids(categories, _HIGHEST_ID), write_map=_write)


def _write(folder: Path, categories: Categories, panoptic: PanopticMap, stem: str) -> Written:
    codes = [0]
    for segment, number in zip(panoptic.segments, instance_numbers(panoptic), strict=True):
        category = categories[segment.label]
        if number > _PER_CLASS:
            raise ValueError(f"more than {_PER_CLASS} things of the class {category.name!r}")
        assert isinstance(category.id, int)  # `fit_ids` has made sure
        codes.append(category.id * _PER_CLASS + number - 1 if number else category.id)
    values = lookup(np.array(codes, np.uint16), panoptic.ids)
    name = f"gtFine/{SPLIT}/{stem}{MAP}"
    write_values(values, folder / name)
    return Written(
        lost={MERGED_CROWDS: count_merged_crowds(panoptic), SCORES: count_scores(panoptic)},
        files=(name,),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Coding:
    """Meaning of the pixel values."""

    categories: Categories
    void: frozenset[int]
    """Ids without a class."""

    def key(self, value: int) -> SegmentKey | None:
        isgroup = value < _PER_CLASS
        number = value if isgroup else value // _PER_CLASS
        if number in self.void:
            return None
        if number not in self.categories:
            raise ValueError(f"value {value} stands for class {number}, but no class has this id")
        label = self.categories.label(number)
        if not self.categories[label].isthing:
            return SegmentKey(label=label)
        return SegmentKey(label=label, instance=0 if isgroup else value, iscrowd=isgroup)


_OFFICIAL = _Coding(
    categories=CATEGORIES, void=frozenset(_LABELS) - {category.id for category in CATEGORIES}
)


def _read(file: StoredFile, coding: _Coding) -> PanopticMap:
    try:
        values = read_values(file)
        if values.ndim != 2:  # noqa: PLR2004 - grey
            raise ValueError("several channels; expected 16-bit grey")
        return decode(size_of(values), values.__getitem__, coding.key, coding.categories)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
