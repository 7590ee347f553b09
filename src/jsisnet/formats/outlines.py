"""COCO instances files combined with class maps, or with outlines of stuff."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from jsisnet.categories import UNKNOWN, Categories, Category, CategoryId
from jsisnet.files.archives import StoredFile, files_below
from jsisnet.files.json_fields import Entry
from jsisnet.files.photo_folder import PhotoFolder
from jsisnet.files.png import write_values
from jsisnet.formats import coco_instances, masks
from jsisnet.formats.class_maps import ClassValues, fit_map_ids, map_values, read_class_map
from jsisnet.formats.coco_instances import Annotation, InstancesFile
from jsisnet.formats.map_index import MapIndex, map_stem
from jsisnet.formats.pixel_codes import SegmentKey, decode, lookup
from jsisnet.formats.records import (
    INSTANCES,
    SCORES,
    Record,
    Source,
    Target,
    Written,
    count_scores,
    drop_unknown,
    size_text,
)
from jsisnet.panoptic import VOID, PanopticMap, Segment

SEMANTIC = "semantic"
"""Folder of the class maps that are written."""


def source(
    annotations: Path,
    index: MapIndex,
    *,
    semantic: Path | None = None,
    images: Path | None = None,
    void: Collection[int] | None = None,
    keep_going: bool = False,
) -> Source:
    """Open an instances file together with a list of classes, and optionally class maps.

    Things lie on top, in the order of `coco_instances.draw`. Below them are the outlines of stuff,
    then the stuff of the class maps. Pixels of a thing class in a class map that no outline covers
    are void.

    Args:
        annotations: The instances file. Its classes are matched by name.
        index: Classes, each a thing or stuff, whose ids or colours are the pixels of the class
            maps. Classes that have outlines but are not listed count as things.
        semantic: Folder or zip of class maps. Each has the path of its photo, or the same file name
            in any subfolder. Maps of other photos are ignored.
        images: Folder of the photos, if known.
        void: Pixel values without a class; default: 0 and 255 unless they are classes.
        keep_going: Whether to leave out the entries of the instances file that cannot be used.

    Raises:
        ValueError: If a file is invalid, a photo has no map, or the names of two classes differ in
            case only.
    """
    folder, photos = images or Path(), PhotoFolder(images)
    file = coco_instances.read_annotations(annotations, images=photos, keep_going=keep_going)
    categories = _join_categories(file, index)
    ids = _ids_by_name(categories)
    known = {c.id: ids[c.name] for c in file.categories if c.name in ids}
    names = [a.image.relative_to(folder).as_posix() for a in file.annotations]
    maps = dict.fromkeys(names) if semantic is None else _match_maps(names, semantic)
    classes = ClassValues.of(index.categories, void)
    records = (
        Record(
            image_id=annotation.image_id,
            name=name,
            image=None if images is None else annotation.image,
            size=annotation.size,
            read=partial(
                _read, annotation, known, categories, maps[name], classes, images is not None
            ),
            maps=tuple(filter(None, [maps[name]])),
        )
        for annotation, name in zip(file.annotations, names, strict=True)
    )
    warnings = (*file.warnings, *photos.warnings(len(names)))
    return Source(categories=categories, records=tuple(records), warnings=warnings)


def target(folder: Path, categories: Categories) -> Target:
    """Prepare to write an instances file of things, and class maps below `SEMANTIC`.

    Class maps have 8 bits and ids from 1 to 254, or 16 bits if there are more classes. The
    masks of the things are run lengths.

    Raises:
        ValueError: If there are too many classes.
    """
    ids = fit_map_ids(categories)
    return Target(folder=folder, categories=ids, write_map=_write, instances=INSTANCES)


def _write(folder: Path, categories: Categories, panoptic: PanopticMap, stem: str) -> Written:
    ids = [VOID, *(categories[segment.label].id for segment in panoptic.segments)]
    classes = lookup(map_values(ids), panoptic.ids)
    name = f"{SEMANTIC}/{stem}.png"
    write_values(classes, folder / name)
    things = tuple(_thing_entries(panoptic, categories))
    return Written(lost={SCORES: count_scores(panoptic)}, files=(name,), instances=things)


def _thing_entries(panoptic: PanopticMap, categories: Categories) -> Iterator[Entry]:
    boxes = panoptic.boxes().tolist()
    for number, (segment, box) in enumerate(zip(panoptic.segments, boxes, strict=True), 1):
        if segment.isthing:
            yield {
                "category_id": categories[segment.label].id,
                "iscrowd": int(segment.iscrowd),
                **masks.entry_in_box(panoptic.ids, number, box),
            }


def _join_categories(file: InstancesFile, index: MapIndex) -> Categories:
    """Return the listed classes, and those that only the instances file has and uses."""
    listed = _ids_by_name(index.categories)
    alike = {name.strip().casefold(): name for name in listed}
    added: list[Category] = []
    for category in file.categories:
        if category.id in file.used and category.name not in listed:
            other = alike.get(category.name.strip().casefold())
            if other is not None:
                raise ValueError(
                    f"{file.path}: category {category.name!r} is {other!r} in {index.path}; "
                    "expected the same name"
                )
            added.append(category)
    return index.categories.joined_with(Categories(tuple(added)))


def _ids_by_name(categories: Categories) -> dict[str, CategoryId]:
    return {name: c.id for c in categories for name in (*c.members, c.name)}


def _match_maps(names: Sequence[str], semantic: Path) -> Mapping[str, StoredFile]:
    """Return the class map of each photo."""
    files = files_below(semantic, "", ".png")
    elsewhere = defaultdict(list)
    for path in files:
        elsewhere[PurePosixPath(path).name].append(path)
    owners: dict[str, str] = {}
    for name in names:
        wanted = f"{map_stem(name)}.png"
        match [wanted] if wanted in files else elsewhere[PurePosixPath(wanted).name]:
            case [path]:
                other = owners.setdefault(path, name)
            case []:
                raise ValueError(f"{semantic}: no map {wanted} for the photo {name}")
            case [first, second, *_]:
                raise ValueError(
                    f"{semantic}: found {first} and {second}; expected one map for the photo {name}"
                )
        if other != name:
            raise ValueError(f"{semantic}: {path} would be the map of both {other} and {name}")
    return {name: files[path] for path, name in owners.items()}


def _read(
    annotation: Annotation,
    ids: Mapping[CategoryId, CategoryId],
    categories: Categories,
    semantic: StoredFile | None,
    values: ClassValues,
    hasphoto: bool,
) -> PanopticMap:
    if hasphoto:
        annotation = coco_instances.sized_as_photo(annotation)
    coco_instances.refuse_large(annotation)
    instances = (replace(i, category_id=ids[i.category_id]) for i in annotation.instances)
    known = replace(annotation, instances=tuple(instances))
    return _stack(annotation.size, _layers(known, categories, semantic, values))


def _layers(
    annotation: Annotation, categories: Categories, semantic: StoredFile | None, values: ClassValues
) -> Iterator[PanopticMap]:
    """Draw the layers from top to bottom; one at a time, so that only one is in memory."""
    for isthing in (True, False):
        instances = tuple(
            instance
            for instance in annotation.instances
            if categories[categories.label(instance.category_id)].isthing == isthing
        )
        if instances:
            yield coco_instances.draw(replace(annotation, instances=instances), categories)
    if semantic is not None:
        yield _read_stuff(semantic, annotation.size, values)


def _read_stuff(file: StoredFile, size: tuple[int, int], values: ClassValues) -> PanopticMap:
    classes = read_class_map(file, values)
    if classes.size != size:
        raise ValueError(
            f"{file}: {size_text(classes.size)} pixels, but the photo is {size_text(size)}"
        )

    def key(code: int) -> SegmentKey | None:
        label = classes.label(code)
        return None if label is None else SegmentKey(label=label)

    try:
        panoptic = decode(size, classes.codes, key, values.categories)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    labels = [UNKNOWN if c.isthing else label for label, c in enumerate(values.categories)]
    return drop_unknown(panoptic, labels)


def _stack(size: tuple[int, int], layers: Iterable[PanopticMap]) -> PanopticMap:
    """Stack maps, the first on top; each stuff class becomes one segment."""
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
        np.copyto(ids, lookup(np.array(numbers, np.int32), layer.ids), where=ids == VOID)
        del layer  # before the next one is drawn
    return PanopticMap(ids, tuple(segments))
