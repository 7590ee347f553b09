"""COCO instances files whose outlines lie over maps of classes, or are of stuff as well."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np

from jsisnet.categories import UNKNOWN, Categories, Category, CategoryId
from jsisnet.files.archives import StoredFile, files_below
from jsisnet.files.json_fields import Entry
from jsisnet.files.png import write_values
from jsisnet.formats import coco_instances, coded, masks
from jsisnet.formats.coco_instances import Annotation, InstancesFile
from jsisnet.formats.coded import HIGHEST_ID, Coding, Meaning, drawn, in_numbers, looked_up
from jsisnet.formats.image_list import MapListing, stem
from jsisnet.formats.records import (
    INDEX,
    INSTANCES,
    SCORES,
    Record,
    Source,
    Written,
    scored,
    without_unknown,
)
from jsisnet.panoptic import VOID, PanopticMap, Segment

SEMANTIC = "semantic"
"""Folder of the maps of classes that are written."""


def source(
    annotations: Path,
    listing: MapListing,
    *,
    semantic: Path | None = None,
    images: Path | None = None,
    void: Collection[int] | None = None,
) -> Source:
    """Open an instances file together with a list of classes, and perhaps maps of classes.

    Things lie on top, as `coco_instances.draw` says; below them outlines of stuff, then the stuff
    of the maps. Where a map has a thing that nobody outlined, the pixels are void.

    Args:
        annotations: The instances file. Its classes are matched by name.
        listing: Which classes are things and which stuff; the pixels of the maps are their ids or
            colours. Classes with outlines that are not in the list count as things.
        semantic: Folder or zip of PNGs, each with the path of its photo, or the same file name
            elsewhere in there. Those of other photos count for nothing.
        images: Folder of the photos, if it is known.
        void: Values of pixels without a class; default: 0 and 255 unless they are classes.

    Raises:
        ValueError: If a file breaks a rule, a photo has no map, or names of classes differ in
            nothing but the case.
    """
    folder = images or Path()
    file = coco_instances.read_annotations(annotations, images=folder)
    categories = _joined(file, listing)
    ids = _ids_by_name(categories)
    known = {c.id: ids[c.name] for c in file.categories if c.name in ids}
    names = [a.image.relative_to(folder).as_posix() for a in file.annotations]
    maps = dict.fromkeys(names) if semantic is None else _maps_of(names, semantic)
    coding = Coding.of(listing.categories, void)
    records = (
        Record(
            image_id=annotation.image_id,
            name=name,
            image=None if images is None else annotation.image,
            size=annotation.size,
            read=partial(_read, _with_ids(annotation, known), categories, maps[name], coding),
        )
        for annotation, name in zip(file.annotations, names, strict=True)
    )
    return Source(categories=categories, records=tuple(records))


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """An instances file to write, beside maps of classes."""

    index: ClassVar[str] = INDEX
    instances: ClassVar[str | None] = INSTANCES
    folder: Path
    """Receives the maps below `SEMANTIC`."""

    categories: Categories
    """With ids from 1 to 254."""

    def write(self, panoptic: PanopticMap, stem: str) -> Written:
        """Write the classes of all pixels, and give the things with the runs of their masks."""
        ids = [VOID, *(self.categories[segment.label].id for segment in panoptic.segments)]
        classes = looked_up(np.array(ids, np.uint8), panoptic.ids)
        write_values(classes, self.folder / SEMANTIC / f"{stem}.png")
        return Written(lost={SCORES: scored(panoptic)}, instances=tuple(self._things(panoptic)))

    def _things(self, panoptic: PanopticMap) -> Iterator[Entry]:
        for number, segment in enumerate(panoptic.segments, 1):
            if segment.isthing:
                yield {
                    "category_id": self.categories[segment.label].id,
                    "iscrowd": int(segment.iscrowd),
                    **masks.entry(panoptic.ids == number),
                }


def target(folder: Path, categories: Categories) -> Target:
    """Begin to write maps: outlines of things, and 8-bit PNGs with the classes of all pixels.

    Raises:
        ValueError: If there are more classes than 8 bits can tell apart.
    """
    return Target(folder=folder, categories=in_numbers(categories, HIGHEST_ID))


def _joined(file: InstancesFile, listing: MapListing) -> Categories:
    """Add the classes that only the instances file has, if it outlines any."""
    listed = _ids_by_name(listing.categories)
    alike = {name.strip().casefold(): name for name in listed}
    used = {i.category_id for annotation in file.annotations for i in annotation.instances}
    added: list[Category] = []
    for category in file.categories:
        if category.id in used and category.name not in listed:
            other = alike.get(category.name.strip().casefold())
            if other is not None:
                raise ValueError(
                    f"{file.path}: category {category.name!r} is {other!r} in {listing.path}; "
                    "expected the same name"
                )
            added.append(category)
    return listing.categories.joined_with(Categories(tuple(added)))


def _ids_by_name(categories: Categories) -> dict[str, CategoryId]:
    return {name: c.id for c in categories for name in (*c.members, c.name)}


def _maps_of(names: Sequence[str], semantic: Path) -> Mapping[str, StoredFile]:
    """Find the map of each photo."""
    files = files_below(semantic, "", ".png")
    elsewhere = defaultdict(list)
    for path in files:
        elsewhere[PurePosixPath(path).name].append(path)
    owners: dict[str, str] = {}
    for name in names:
        wanted = f"{stem(name)}.png"
        match [wanted] if wanted in files else elsewhere[PurePosixPath(wanted).name]:
            case [path]:
                other = owners.setdefault(path, name)
            case []:
                raise ValueError(f"{semantic}: has no map {wanted} for the photo {name}")
            case [first, second, *_]:
                raise ValueError(
                    f"{semantic}: has {first} and {second}; expected one map for the photo {name}"
                )
        if other != name:
            raise ValueError(f"{semantic}: {path} would be the map of both {other} and {name}")
    return {name: files[path] for path, name in owners.items()}


def _with_ids(annotation: Annotation, ids: Mapping[CategoryId, CategoryId]) -> Annotation:
    instances = (replace(i, category_id=ids[i.category_id]) for i in annotation.instances)
    return replace(annotation, instances=tuple(instances))


def _read(
    annotation: Annotation, categories: Categories, semantic: StoredFile | None, coding: Coding
) -> PanopticMap:
    return _stacked(annotation.size, _layers(annotation, categories, semantic, coding))


def _layers(
    annotation: Annotation, categories: Categories, semantic: StoredFile | None, coding: Coding
) -> Iterator[PanopticMap]:
    """Draw one layer after another, so that only one is in memory."""
    for isthing in (True, False):
        instances = tuple(
            instance
            for instance in annotation.instances
            if categories[categories.label(instance.category_id)].isthing == isthing
        )
        if instances:
            yield coco_instances.draw(replace(annotation, instances=instances), categories)
    if semantic is not None:
        yield _stuff(semantic, annotation.size, coding)


def _stuff(file: StoredFile, size: tuple[int, int], coding: Coding) -> PanopticMap:
    classes = coded.read_class_map(file, coding)
    if classes.size != size:
        found, expected = ("x".join(map(str, each)) for each in (classes.size, size))
        raise ValueError(f"{file}: is {found} pixels, but the photo is {expected}")

    def meaning(code: int) -> Meaning | None:
        label = classes.label(code)
        return None if label is None else Meaning(label=label)

    try:
        panoptic = drawn(size, classes.codes, meaning, coding.categories)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    labels = [UNKNOWN if c.isthing else label for label, c in enumerate(coding.categories)]
    return without_unknown(panoptic, labels)


def _stacked(size: tuple[int, int], layers: Iterable[PanopticMap]) -> PanopticMap:
    """Lay maps over each other, the first on top; each class of stuff becomes one segment."""
    ids = np.full(size, VOID, np.int32)
    segments: list[Segment] = []
    stuff: dict[int, int] = {}
    for layer in layers:
        numbers = [VOID]
        for segment in layer.segments:
            new = len(segments) + 1
            numbers.append(new if segment.isthing else stuff.setdefault(segment.label, new))
            if numbers[-1] == new:
                segments.append(segment)
        np.copyto(ids, looked_up(np.array(numbers, np.int32), layer.ids), where=ids == VOID)
        del layer  # before the next one is drawn
    return PanopticMap(ids, tuple(segments))
