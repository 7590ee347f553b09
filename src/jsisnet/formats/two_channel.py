"""Two-channel PNGs: one channel holds the class of a pixel, the other its instance."""

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

import numpy as np

from jsisnet.arrays import Integer
from jsisnet.categories import Categories
from jsisnet.files.archives import StoredFile
from jsisnet.files.png import Values, read_values, size_of, write_ids
from jsisnet.formats.class_maps import HIGHEST_ID, ClassValues, UnknownValue, fit_ids
from jsisnet.formats.map_index import MapIndex, find_maps
from jsisnet.formats.pixel_codes import SegmentKey, decode, instance_numbers, lookup
from jsisnet.formats.records import CROWDS, SCORES, Source, Target, Written, count_scores
from jsisnet.panoptic import VOID, PanopticMap

DIVISOR = 256
"""Default divisor of 16-bit grey values: class and instance have 8 bits each."""

_MAX_DIVISOR = 2**16

_USUAL_DIVISORS = (1000, 256, 100, 10000, 512, 1024, 128, 2048, 64, 10, 16, 32, 4096)
_BITS, _CLASS_BITS = 8, 16
_INSTANCES = 2**16


def source(
    pngs: Path,
    index: MapIndex,
    *,
    images: Path | None = None,
    void: Collection[int] | None = None,
    label_divisor: int | None = None,
) -> Source:
    """Open a folder of maps.

    The maps are RGB, with the class in R and the instance in G + 256 B; or grey with alpha, where
    these are class and instance; or 16-bit grey, with 256 times the class plus the instance.

    Args:
        pngs: Folder or zip of the maps.
        index: Classes, whose ids are the pixel values, and optionally images.
        images: Folder of the photos, if known.
        void: Pixel values without a class; default: 0 and 255 unless they are classes.
        label_divisor: Divisor of 16-bit grey values, which the maps must have then; default: 256.

    Raises:
        ValueError: If there are no maps, or the divisor is that of no 16-bit value.
    """
    if label_divisor is not None and not 1 <= label_divisor <= _MAX_DIVISOR:
        raise ValueError(f"label_divisor is {label_divisor}; expected 1 to {_MAX_DIVISOR}")
    classes = ClassValues.of(index.categories, void)
    maps = {path: (file,) for path, file in find_maps(pngs).items()}
    return index.source(maps, partial(_read, classes, label_divisor), images)


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
    name = f"maps/{stem}.png"
    write_ids(ids, folder / name)
    crowds = sum(segment.iscrowd for segment in panoptic.segments)
    return Written(lost={CROWDS: crowds, SCORES: count_scores(panoptic)}, files=(name,))


def _read(classes: ClassValues, divisor: int | None, file: StoredFile) -> PanopticMap:
    try:
        values = read_values(file)
        codes = partial(_encoder(values, divisor), values)
        size, categories = size_of(values), classes.categories
        isgrey = values.shape[2:] == ()
        try:
            # An instance of class 0 is a sign of another divisor, but no proof.
            strict = isgrey and divisor is None
            return decode(size, codes, partial(_key, classes, strict), categories)
        except UnknownValue as error:
            hint = _divisor_hint(values, classes) if isgrey else ""
            if hint:
                raise ValueError(f"{error}{hint}") from None
        return decode(size, codes, partial(_key, classes, False), categories)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def _encoder(
    values: Values, divisor: int | None
) -> Callable[[Values, slice], Integer[np.ndarray, "rows w"]]:
    """Return the function that computes class + 65536 instance for some rows."""
    match values.shape[2:], values.dtype.itemsize:
        case (), 2:
            return partial(_from_16_bits, DIVISOR if divisor is None else divisor)
        case (2 | 3,), 1 if divisor is None:
            return _from_channels
    if divisor is not None:
        raise ValueError("unsupported pixels; expected 16-bit grey, as label_divisor is given")
    kinds = "RGB, grey with alpha, or 16-bit grey"
    raise ValueError(f"unsupported pixels; expected class and instance as {kinds}")


def _from_channels(values: Values, rows: slice) -> Integer[np.ndarray, "rows w"]:
    first, *others = np.moveaxis(values[rows], -1, 0).astype(np.uint32)
    shifts = range(_CLASS_BITS, 32, _BITS)
    return sum((c << np.uint32(i) for c, i in zip(others, shifts, strict=False)), first)


def _from_16_bits(divisor: int, values: Values, rows: slice) -> Integer[np.ndarray, "rows w"]:
    classes, instances = np.divmod(values[rows].astype(np.uint32), np.uint32(divisor))
    return classes | (instances << np.uint32(_CLASS_BITS))


def _key(classes: ClassValues, strict: bool, code: int) -> SegmentKey | None:
    instance, value = divmod(code, 2**_CLASS_BITS)
    label = classes.label(value)
    if label is None and strict and value == VOID and instance:
        raise UnknownValue(f"value {instance} would be void")
    if label is None:
        return None
    isthing = classes.categories[label].isthing
    return SegmentKey(label=label, instance=instance if isthing else 0)


def _divisor_hint(values: Values, classes: ClassValues) -> str:
    """Name the divisor for which all values of a map would have a class, if there is one."""
    found = np.unique(values)
    found = found[found > 0]

    def lost(divisor: int) -> int:
        """Count the values that would be void, or all of them if one has no class."""
        known = (found // divisor).tolist()
        # Class 0 with an instance is void in no data set; the divisor is just too large.
        meant = classes.void - {VOID}
        if not all(value in meant or value in classes.categories for value in known):
            return len(found)
        return sum(value in meant for value in known)

    best = min(_USUAL_DIVISORS, key=lost)
    if lost(best) == len(found):
        return ""
    return f"; all values of this map fit with label_divisor {best} (--label-divisor {best})"
