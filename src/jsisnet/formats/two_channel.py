"""Two-channel PNGs: the class of a pixel, and the instance."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from jsisnet.arrays import Integer
from jsisnet.categories import Categories
from jsisnet.files.archives import StoredFile, files_below
from jsisnet.files.png import Values, read_values, size_of, write_ids
from jsisnet.formats.coded import (
    HIGHEST_ID,
    Coding,
    Meaning,
    drawn,
    in_numbers,
    instance_numbers,
    looked_up,
)
from jsisnet.formats.image_list import MapListing
from jsisnet.formats.records import CROWDS, INDEX, SCORES, Source, Written, scored
from jsisnet.panoptic import VOID, PanopticMap

_BITS = 8
_INSTANCES = 2**16


def source(
    pngs: Path,
    listing: MapListing,
    *,
    images: Path | None = None,
    void: Collection[int] | None = None,
) -> Source:
    """Open a folder of maps.

    They may be RGB, with the class in R and the instance in G + 256 B; grey with alpha, the class
    and the instance; or 16-bit grey, 256 times the class plus the instance.

    Args:
        pngs: Folder or zip.
        listing: Classes, whose ids are the values, and perhaps images.
        images: Folder of the photos, if it is known.
        void: Values of pixels without a class; default: those of `USUAL_VOID` that are no class.

    Raises:
        ValueError: If there are no maps.
    """
    files = files_below(pngs, "", ".png")
    if not files:
        raise ValueError(f"{pngs}: holds no PNGs")
    coding = Coding.of(listing.categories, void)
    records = (
        listing.record(path.removesuffix(".png"), images, partial(_read, file, coding))
        for path, file in files.items()
    )
    return Source(categories=listing.categories, records=tuple(records))


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Maps to write."""

    index: ClassVar[str] = INDEX
    instances: ClassVar[str | None] = None
    folder: Path
    """Receives them below ``maps``."""

    categories: Categories
    """With ids from 1 to 254."""

    def write(self, panoptic: PanopticMap, stem: str) -> Written:
        """Write a map, and count what it can't hold.

        Raises:
            ValueError: If the map has too many things of a class.
        """
        codes = [VOID]
        for segment, number in zip(panoptic.segments, instance_numbers(panoptic), strict=True):
            category = self.categories[segment.label]
            if number >= _INSTANCES:
                raise ValueError(f"has {_INSTANCES} things or more of {category.name!r}")
            assert isinstance(category.id, int)  # made so by `in_numbers`
            codes.append(VOID if segment.iscrowd else category.id + (number << _BITS))
        ids = looked_up(np.array(codes, np.uint32), panoptic.ids)
        write_ids(ids, self.folder / "maps" / f"{stem}.png")
        crowds = sum(segment.iscrowd for segment in panoptic.segments)
        return Written(lost={CROWDS: crowds, SCORES: scored(panoptic)})


def target(folder: Path, categories: Categories) -> Target:
    """Begin to write maps: RGB, the class in R and the instance in G + 256 B, from 1.

    Raises:
        ValueError: If there are more classes than the values can tell apart.
    """
    return Target(folder=folder, categories=in_numbers(categories, HIGHEST_ID))


def _read(file: StoredFile, coding: Coding) -> PanopticMap:
    try:
        values = read_values(file)
        codes = partial(_codes(values), values)
        return drawn(size_of(values), codes, partial(_meaning, coding), coding.categories)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def _codes(values: Values) -> Callable[[Values, slice], Integer[np.ndarray, "rows w"]]:
    """Give what makes class + 256 instance of some rows."""
    match values.shape[2:], values.dtype.itemsize:
        case (2 | 3,), 1:
            return _of_channels
        case (), 2:
            return _of_16_bits
    kinds = "RGB, grey with alpha, or 16-bit grey"
    raise ValueError(f"has pixels of another kind, expected {kinds}: a class and an instance")


def _of_channels(values: Values, rows: slice) -> Integer[np.ndarray, "rows w"]:
    channels = np.moveaxis(values[rows], -1, 0).astype(np.uint32)
    return sum((c << np.uint32(_BITS * i) for i, c in enumerate(channels[1:], 1)), channels[0])


def _of_16_bits(values: Values, rows: slice) -> Integer[np.ndarray, "rows w"]:
    wide = values[rows].astype(np.uint32)
    return (wide >> np.uint32(_BITS)) | ((wide & np.uint32(255)) << np.uint32(_BITS))


def _meaning(coding: Coding, code: int) -> Meaning | None:
    label = coding.label(code % 2**_BITS)
    if label is None:
        return None
    isthing = coding.categories[label].isthing
    return Meaning(label=label, instance=code >> _BITS if isthing else 0)
