"""Cityscapes' own maps: ``gtFine/*/*/*_gtFine_instanceIds.png``."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from jsisnet.categories import Categories, Category
from jsisnet.files.archives import StoredFile, files_below
from jsisnet.files.png import read_values, size_of, write_values
from jsisnet.formats.coded import Meaning, drawn, in_numbers, instance_numbers, looked_up
from jsisnet.formats.image_list import MapListing
from jsisnet.formats.records import (
    INDEX,
    JOINED,
    SCORES,
    Record,
    Source,
    Written,
    joined_crowds,
    scored,
)
from jsisnet.panoptic import PanopticMap

MAP, PHOTO = "_gtFine_instanceIds.png", "_leftImg8bit.png"
"""How the names of maps and photos end."""

SPLIT = "all"
"""Part of the data set that maps are written to."""

_PER_CLASS = 1000
"""Values of a class: id * 1000 + instance; a value below is the id of stuff, or of a group."""

_HIGHEST_ID = 64
"""Of a class whose things all fit into 16 bits."""

_LABELS = range(46)
"""Ids of the official labels, evaluated or not; the last ones mark lanes."""

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
"""The evaluated classes, with the ids that the server expects; all other labels are void."""


def source(
    root: Path, split: str, *, images: Path | None = None, listing: MapListing | None = None
) -> Source:
    """Open a part of the data set.

    A region of a thing class without instance numbers is a group: one crowd.

    Args:
        root: Folder or zip that holds ``gtFine``.
        split: ``train``, ``val`` or ``test``, a folder in there.
        images: Folder of the photos, with a folder for each city; default: ``leftImg8bit/SPLIT``
            beside ``gtFine``.
        listing: Classes and images of another data set that is coded in the same way.

    Raises:
        ValueError: If there are no such maps.
    """
    files = files_below(root, f"gtFine/{split}", MAP)
    if not files:
        raise ValueError(f"{root}: has no files gtFine/{split}/*{MAP}")
    photos = images or (root / "leftImg8bit" / split if root.is_dir() else None)
    coding = _OFFICIAL
    if listing is not None:
        categories = in_numbers(listing.categories, _HIGHEST_ID)
        coding = _Coding(categories=categories, void=frozenset({0}))
    records = []
    for path, file in files.items():
        stem = path.removesuffix(MAP)
        name = f"{stem}{PHOTO}"
        listed = None if listing is None else listing.images.get(stem)
        records.append(
            Record(
                image_id=Path(stem).name if listed is None else listed.image_id,
                name=name if listed is None else listed.name,
                image=None if photos is None else photos / (listed.name if listed else name),
                size=None,
                read=partial(_read, file, coding),
            )
        )
    return Source(categories=coding.categories, records=tuple(records))


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Maps to write."""

    index: ClassVar[str] = INDEX
    instances: ClassVar[str | None] = None
    folder: Path
    """Receives them below ``gtFine``."""

    categories: Categories
    """With ids from 1 to 64."""

    def write(self, panoptic: PanopticMap, stem: str) -> Written:
        """Write a map, and count what it can't hold.

        Raises:
            ValueError: If the map has too many things of a class.
        """
        codes = [0]
        for segment, number in zip(panoptic.segments, instance_numbers(panoptic), strict=True):
            category = self.categories[segment.label]
            if number > _PER_CLASS:
                raise ValueError(
                    f"has more than {_PER_CLASS} things of the class {category.name!r}"
                )
            assert isinstance(category.id, int)  # made so by `in_numbers`
            codes.append(category.id * _PER_CLASS + number - 1 if number else category.id)
        values = looked_up(np.array(codes, np.uint16), panoptic.ids)
        write_values(values, self.folder / "gtFine" / SPLIT / f"{stem}{MAP}")
        return Written(lost={JOINED: joined_crowds(panoptic), SCORES: scored(panoptic)})


def target(folder: Path, categories: Categories) -> Target:
    """Begin to write maps.

    Raises:
        ValueError: If there are more classes than the values can tell apart.
    """
    return Target(folder=folder, categories=in_numbers(categories, _HIGHEST_ID))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Coding:
    """What the values mean."""

    categories: Categories
    void: frozenset[int]
    """Ids that stand for no class."""

    def meaning(self, value: int) -> Meaning | None:
        isgroup = value < _PER_CLASS
        number = value if isgroup else value // _PER_CLASS
        if number in self.void:
            return None
        if number not in self.categories:
            raise ValueError(f"value {value} means class {number}, but there is none with this id")
        label = self.categories.label(number)
        if not self.categories[label].isthing:
            return Meaning(label=label)
        return Meaning(label=label, instance=0 if isgroup else value, iscrowd=isgroup)


_OFFICIAL = _Coding(
    categories=CATEGORIES, void=frozenset(_LABELS) - {category.id for category in CATEGORIES}
)


def _read(file: StoredFile, coding: _Coding) -> PanopticMap:
    try:
        values = read_values(file)
        if values.ndim != 2:  # noqa: PLR2004 - grey
            raise ValueError("has several channels, expected 16-bit grey values")
        return drawn(size_of(values), values.__getitem__, coding.meaning, coding.categories)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
