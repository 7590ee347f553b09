"""Two-channel PNGs: one channel holds the class of a pixel, the other its instance."""

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

import numpy as np

from jsisnet.arrays import Integer
from jsisnet.categories import Categories
from jsisnet.files.archives import StoredFile
from jsisnet.files.png import Values, read_values, size_of, write_ids
from jsisnet.formats.class_maps import HIGHEST_ID, ClassValues, fit_ids
from jsisnet.formats.map_index import MapIndex, find_maps
from jsisnet.formats.pixel_codes import SegmentKey, decode, instance_numbers, lookup
from jsisnet.formats.records import CROWDS, SCORES, Source, Target, Written, count_scores
from jsisnet.panoptic import VOID, PanopticMap

_BITS = 8
_INSTANCES = 2**16


def source(
    pngs: Path,
    index: MapIndex,
    *,
    images: Path | None = None,
    void: Collection[int] | None = None,
) -> Source:
    """Open a folder of maps.

    The maps are RGB, with the class in R and the instance in G + 256 B; or grey with alpha, where
    these are class and instance; or 16-bit grey, with 256 times the class plus the instance.

    Args:
        pngs: Folder or zip of the maps.
        index: Classes, whose ids are the pixel values, and optionally images.
        images: Folder of the photos, if known.
        void: Pixel values without a class; default: 0 and 255 unless they are classes.

    Raises:
        ValueError: If there are no maps.
    """
    classes = ClassValues.of(index.categories, void)
    maps = {path: partial(_read, file, classes) for path, file in find_maps(pngs).items()}
    return index.source(maps, images)


def target(folder: Path, categories: Categories) -> Target:
    """Prepare to write RGB maps below ``maps``: class in R, instance in G + 256 B, from 1.

    Category ids range from 1 to 254.

    Raises:
        ValueError: If there are too many classes.
    """
    return Target(folder=folder, categories=fit_ids(categories, HIGHEST_ID), write_map=_write)


def _write(folder: Path, categories: Categories, panoptic: PanopticMap, stem: str) -> Written:
    codes = [VOID]
    for segment, number in zip(panoptic.segments, instance_numbers(panoptic), strict=True):
        category = categories[segment.label]
        if number >= _INSTANCES:
            raise ValueError(f"{_INSTANCES} things or more of the class {category.name!r}")
        assert isinstance(category.id, int)  # `fit_ids` has made sure
        codes.append(VOID if segment.iscrowd else category.id + (number << _BITS))
    ids = lookup(np.array(codes, np.uint32), panoptic.ids)
    write_ids(ids, folder / "maps" / f"{stem}.png")
    crowds = sum(segment.iscrowd for segment in panoptic.segments)
    return Written(lost={CROWDS: crowds, SCORES: count_scores(panoptic)})


def _read(file: StoredFile, classes: ClassValues) -> PanopticMap:
    try:
        values = read_values(file)
        codes = partial(_encoder(values), values)
        return decode(size_of(values), codes, partial(_key, classes), classes.categories)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def _encoder(values: Values) -> Callable[[Values, slice], Integer[np.ndarray, "rows w"]]:
    """Return the function that computes class + 256 instance for some rows."""
    match values.shape[2:], values.dtype.itemsize:
        case (2 | 3,), 1:
            return _from_channels
        case (), 2:
            return _from_16_bits
    kinds = "RGB, grey with alpha, or 16-bit grey"
    raise ValueError(f"unsupported pixels; expected class and instance as {kinds}")


def _from_channels(values: Values, rows: slice) -> Integer[np.ndarray, "rows w"]:
    channels = np.moveaxis(values[rows], -1, 0).astype(np.uint32)
    return sum((c << np.uint32(_BITS * i) for i, c in enumerate(channels[1:], 1)), channels[0])


def _from_16_bits(values: Values, rows: slice) -> Integer[np.ndarray, "rows w"]:
    wide = values[rows].astype(np.uint32)
    return (wide >> np.uint32(_BITS)) | ((wide & np.uint32(255)) << np.uint32(_BITS))


def _key(classes: ClassValues, code: int) -> SegmentKey | None:
    label = classes.label(code % 2**_BITS)
    if label is None:
        return None
    isthing = classes.categories[label].isthing
    return SegmentKey(label=label, instance=code >> _BITS if isthing else 0)
