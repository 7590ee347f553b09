"""Two PNGs for each image: the classes of its pixels, and the instances."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from jsisnet.categories import Categories
from jsisnet.files.archives import StoredFile, files_below
from jsisnet.files.png import Values, read_values, size_of, write_values
from jsisnet.formats import coded
from jsisnet.formats.coded import (
    HIGHEST_ID,
    ClassMap,
    Coding,
    Meaning,
    drawn,
    in_numbers,
    instance_numbers,
    looked_up,
)
from jsisnet.formats.image_list import MapListing
from jsisnet.formats.records import INDEX, JOINED, SCORES, Source, Written, joined_crowds, scored
from jsisnet.panoptic import VOID, PanopticMap

SEMANTIC, INSTANCES = "semantic", "instances"
"""Folders of the maps that are written."""

_GREY, _RGB = (), (3,)
_SHIFT = 32
"""Bits for the instance in a value of both."""


def source(
    semantic: Path,
    instances: Path,
    listing: MapListing,
    *,
    images: Path | None = None,
    void: Collection[int] | None = None,
) -> Source:
    """Open two folders whose PNGs have the same paths.

    A thing is a value of the instances within a class. Pixels of a thing class where the instance
    is 0 are a group: one crowd. The instances of stuff count for nothing.

    Args:
        semantic: Folder or zip of PNGs: grey or palette ones with the ids of classes as values, or
            RGB ones in the colours of the classes.
        instances: Folder or zip of grey, palette or RGB PNGs; of the latter the value is
            R + 256 G + 65536 B.
        listing: Classes and perhaps images.
        images: Folder of the photos, if it is known.
        void: Semantic values of pixels without a class; default: 0 and 255 unless they are classes.

    Raises:
        ValueError: If there are no maps, or one of a pair is missing.
    """
    files = files_below(semantic, "", ".png")
    others = files_below(instances, "", ".png")
    if not files:
        raise ValueError(f"{semantic}: holds no PNGs")
    for path in files.keys() ^ others.keys():
        having, lacking = (semantic, instances) if path in files else (instances, semantic)
        raise ValueError(f"{having}: has {path}, but {lacking} has no such file")
    coding = Coding.of(listing.categories, void)
    records = (
        listing.record(
            path.removesuffix(".png"), images, partial(_read, file, others[path], coding)
        )
        for path, file in files.items()
    )
    return Source(categories=listing.categories, records=tuple(records))


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Maps to write."""

    index: ClassVar[str] = INDEX
    instances: ClassVar[str | None] = None
    folder: Path
    """Receives them below `SEMANTIC` and `INSTANCES`."""

    categories: Categories
    """With ids from 1 to 254."""

    def write(self, panoptic: PanopticMap, stem: str) -> Written:
        """Write both maps, and count what they can't hold.

        Raises:
            ValueError: If the map has more things of a class than 16 bits can count.
        """
        numbers = [VOID, *instance_numbers(panoptic)]
        if max(numbers) > np.iinfo(np.uint16).max:
            raise ValueError("has more than 65535 things of a class")
        ids = [VOID, *(self.categories[segment.label].id for segment in panoptic.segments)]
        for name, table in (
            (SEMANTIC, np.array(ids, np.uint8)),
            (INSTANCES, np.array(numbers, np.uint16)),
        ):
            write_values(looked_up(table, panoptic.ids), self.folder / name / f"{stem}.png")
        return Written(lost={JOINED: joined_crowds(panoptic), SCORES: scored(panoptic)})


def target(folder: Path, categories: Categories) -> Target:
    """Begin to write maps: 8-bit classes, 16-bit instances that count from 1 within a class.

    Raises:
        ValueError: If there are more classes than 8 bits can tell apart.
    """
    return Target(folder=folder, categories=in_numbers(categories, HIGHEST_ID))


def _read(semantic: StoredFile, instances: StoredFile, coding: Coding) -> PanopticMap:
    classes = coded.read_class_map(semantic, coding)
    things = _things(instances)
    if classes.size != size_of(things):
        sizes = ["x".join(map(str, size)) for size in (size_of(things), classes.size)]
        raise ValueError(f"{instances}: is {sizes[0]} pixels, but {semantic} is {sizes[1]}")
    try:
        return drawn(
            classes.size,
            lambda rows: (classes.codes(rows) << _SHIFT) | coded.numbers(things, rows),
            partial(_meaning, classes, coding.categories),
            coding.categories,
        )
    except ValueError as error:
        raise ValueError(f"{semantic}: {error}") from None


def _things(file: StoredFile) -> Values:
    try:
        values = read_values(file)
        if values.shape[2:] not in (_GREY, _RGB):
            raise ValueError(f"has {values.shape[2]} channels, expected one or three channels")
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    return values


def _meaning(classes: ClassMap, categories: Categories, code: int) -> Meaning | None:
    label = classes.label(code >> _SHIFT)
    if label is None:
        return None
    isthing = categories[label].isthing
    instance = code % 2**_SHIFT if isthing else 0
    return Meaning(label=label, instance=instance, iscrowd=isthing and instance == 0)
