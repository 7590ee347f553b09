"""Two PNGs for each image: a map of classes, and a map of instances."""

from collections.abc import Collection
from functools import partial
from pathlib import Path

import numpy as np

from jsisnet.categories import Categories
from jsisnet.files.archives import StoredFile, files_below
from jsisnet.files.png import Values, read_values, size_of, write_values
from jsisnet.formats.class_maps import (
    ClassMap,
    ClassValues,
    combine_channels,
    fit_map_ids,
    map_values,
    read_class_map,
)
from jsisnet.formats.map_index import MapIndex, find_maps
from jsisnet.formats.pixel_codes import SegmentKey, decode, instance_numbers, lookup
from jsisnet.formats.records import (
    MERGED_CROWDS,
    SCORES,
    Source,
    Target,
    Written,
    count_merged_crowds,
    count_scores,
    size_text,
)
from jsisnet.panoptic import VOID, PanopticMap

SEMANTIC, INSTANCES = "semantic", "instances"
"""Folders of the maps that are written."""

_GREY, _RGB = (), (3,)
_SHIFT = 32
"""Number of bits for the instance in a combined value."""


def source(
    semantic: Path,
    instances: Path,
    index: MapIndex,
    *,
    images: Path | None = None,
    void: Collection[int] | None = None,
) -> Source:
    """Open two folders whose PNGs have the same paths.

    Each instance value within a thing class is one thing. Pixels of a thing class with instance 0
    become one crowd. Instance values of stuff are ignored.

    Args:
        semantic: Folder or zip of class maps: grey or palette PNGs with category ids as values, or
            RGB PNGs in the colours of the categories.
        instances: Folder or zip of grey, palette or RGB PNGs; the value of an RGB pixel is
            R + 256 G + 65536 B.
        index: Classes and optionally images.
        images: Folder of the photos, if known.
        void: Values of `semantic` without a class; default: 0 and 255 unless they are classes.

    Raises:
        ValueError: If there are no maps, or one of a pair is missing.
    """
    files, others = find_maps(semantic), files_below(instances, "", ".png")
    for path in files.keys() ^ others.keys():
        having, lacking = (semantic, instances) if path in files else (instances, semantic)
        raise ValueError(f"{having}: found {path}, but {lacking} has no such file")
    classes = ClassValues.of(index.categories, void)
    maps = {path: (file, others[path]) for path, file in files.items()}
    return index.source(maps, partial(_read, classes), images)


def target(folder: Path, categories: Categories) -> Target:
    """Prepare to write class maps, and 16-bit instance maps that count within each class.

    They go to the folders `SEMANTIC` and `INSTANCES`. Class maps have 8 bits and ids from 1 to 254,
    or 16 bits if there are more classes.

    Raises:
        ValueError: If there are too many classes.
    """
    return Target(folder=folder, categories=fit_map_ids(categories), write_map=_write)


def _write(folder: Path, categories: Categories, panoptic: PanopticMap, stem: str) -> Written:
    numbers = [VOID, *instance_numbers(panoptic)]
    if max(numbers) > np.iinfo(np.uint16).max:
        raise ValueError("more than 65535 things of a class")
    ids = [VOID, *(categories[segment.label].id for segment in panoptic.segments)]
    tables = {
        f"{SEMANTIC}/{stem}.png": map_values(ids),
        f"{INSTANCES}/{stem}.png": np.array(numbers, np.uint16),
    }
    for name, table in tables.items():
        write_values(lookup(table, panoptic.ids), folder / name)
    return Written(
        lost={MERGED_CROWDS: count_merged_crowds(panoptic), SCORES: count_scores(panoptic)},
        files=tuple(tables),
    )


def _read(values: ClassValues, semantic: StoredFile, instances: StoredFile) -> PanopticMap:
    classes = read_class_map(semantic, values)
    things = _read_instances(instances)
    if classes.size != size_of(things):
        raise ValueError(
            f"{instances}: {size_text(size_of(things))} pixels, but {semantic} is "
            f"{size_text(classes.size)}"
        )
    try:
        return decode(
            classes.size,
            lambda rows: (classes.codes(rows) << _SHIFT) | combine_channels(things, rows),
            partial(_key, classes, values.categories),
            values.categories,
        )
    except ValueError as error:
        raise ValueError(f"{semantic}: {error}") from None


def _read_instances(file: StoredFile) -> Values:
    try:
        values = read_values(file)
        if values.shape[2:] not in (_GREY, _RGB):
            raise ValueError(f"{values.shape[2]} channels; expected one or three")
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    return values


def _key(classes: ClassMap, categories: Categories, code: int) -> SegmentKey | None:
    label = classes.label(code >> _SHIFT)
    if label is None:
        return None
    isthing = categories[label].isthing
    instance = code % 2**_SHIFT if isthing else 0
    return SegmentKey(label=label, instance=instance, iscrowd=isthing and instance == 0)
