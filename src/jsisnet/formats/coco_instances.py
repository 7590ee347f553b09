"""COCO instances files: one JSON file with the outlines of things, and nothing about stuff."""

from array import array
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from jsisnet.categories import Categories, CategoryId
from jsisnet.files import json_fields, json_stream
from jsisnet.files.json_fields import Entry
from jsisnet.files.json_stream import ByteRange, EntryReader
from jsisnet.files.photo_folder import PhotoFolder
from jsisnet.files.png import MAX_MAP_PIXELS
from jsisnet.formats import categories_json as category_entries
from jsisnet.formats import coco_index, masks
from jsisnet.formats.coco_index import EntryList, Ranges
from jsisnet.formats.masks import Shape
from jsisnet.panoptic import VOID, ImageId, PanopticMap, Segment

Size = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Instance:
    """One thing as a file lists it."""

    id: int | str
    """Unique within the file."""

    category_id: CategoryId
    """One of the file's categories."""

    shape: Shape
    """Polygons of its visible parts, or its mask."""

    iscrowd: bool
    """Whether this is a crowd region: a group of things that are not told apart."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredInstances(Collection[Instance]):
    """The things of one image, read from the file on each pass."""

    path: Path
    ranges: Ranges
    size: Size
    """Height and width of the image."""

    def __iter__(self) -> Iterator[Instance]:
        with EntryReader(self.path) as reader:
            for start, stop in self.ranges.tolist():
                yield _instance(reader.read(ByteRange(start, stop)), self.size)

    def __len__(self) -> int:
        return len(self.ranges)

    def __contains__(self, value: object) -> bool:
        return any(value is each for each in self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Annotation:
    """All annotations of one image."""

    image_id: ImageId
    """Unique within the file."""

    image: Path
    """The photo; it may not exist."""

    size: Size
    """Height and width in pixels."""

    instances: Collection[Instance]
    """In the order of the file, from which they are read when they are needed; possibly none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InstancesFile:
    """One COCO instances JSON file."""

    path: Path
    categories: Categories
    """All of them are things."""
    used: frozenset[CategoryId]
    """Categories that at least one instance has."""
    annotations: tuple[Annotation, ...]
    """One for each image that the file lists, in its order."""


def read_annotations(path: Path, *, images: Path | PhotoFolder) -> InstancesFile:
    """Check a COCO instances JSON file and index its annotations.

    Args:
        path: The file.
        images: Folder of the photos.

    Raises:
        ValueError: If the file is invalid; the message names file, image and annotation.
    """
    folder = images if isinstance(images, PhotoFolder) else PhotoFolder(images)
    reader = _FileReader(images=folder)
    index = coco_index.read_index(
        path, check_image=reader.image, check_annotation=reader.annotation
    )
    try:
        categories = _categories(index.fields, path)
        for name in coco_index.LISTS:
            json_fields.items(index.fields, name)
        reader.refuse_unknown_categories(categories)
        reader.refuse_duplicates()
        _check_early(index.annotations, reader, path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    ranges = index.annotations.ranges_by_image(reader.photos)
    annotations = (
        Annotation(
            image_id=image_id,
            image=photo.path,
            size=photo.size,
            instances=StoredInstances(path, own, photo.size),
        )
        for (image_id, photo), own in zip(reader.photos.items(), ranges, strict=True)
    )
    return InstancesFile(
        path=path,
        categories=categories,
        used=frozenset(reader.used),
        annotations=tuple(annotations),
    )


def read_categories(path: Path) -> Categories:
    """Read the categories that a COCO instances file lists.

    Raises:
        ValueError: If the file is missing or an entry is invalid; the message names the file.
    """
    content = json_stream.load_without(path, coco_index.LISTS)
    try:
        return _categories(content, path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def draw(annotation: Annotation, categories: Categories) -> PanopticMap:
    """Draw the things of one image; all other pixels are void.

    Things may overlap, but a pixel belongs to one segment. Where two overlap, the smaller one is on
    top, since it might be hidden otherwise; of two with equal areas, the later one in the file.
    Crowd regions are below everything. Masks are drawn one after another, so memory doesn't grow
    with their number.

    Args:
        annotation: Annotation of the image.
        categories: Classes that define the labels.

    Returns:
        The map, with a segment for each thing, in the order of the file. Hidden ones are empty.
    """
    instances = tuple(annotation.instances)
    runs = [masks.runs(instance.shape, annotation.size) for instance in instances]
    areas = [masks.area(one) for one in runs]
    ids = np.full(annotation.size, VOID, np.int32)
    for i in sorted(range(len(runs)), key=lambda i: (not instances[i].iscrowd, -areas[i])):
        window, pixels = masks.draw(runs[i])
        np.copyto(ids[window], i + 1, where=pixels)
    labels = [categories.label(instance.category_id) for instance in instances]
    return PanopticMap(
        ids,
        tuple(
            Segment(label=label, isthing=isthing, iscrowd=instance.iscrowd and isthing)
            for label, instance in zip(labels, instances, strict=True)
            for isthing in [categories[label].isthing]
        ),
    )


@dataclass(frozen=True, slots=True)
class _Photo:
    path: Path
    size: Size


@dataclass(kw_only=True)
class _FileReader:
    """Checks of the entries of one file, and the little of them that stays in memory."""

    images: PhotoFolder
    photos: dict[ImageId, _Photo] = field(default_factory=dict)
    """In the order of the file."""
    early: int = 0
    """Annotations that precede their image in the file, so that their shapes are unchecked."""
    used: dict[CategoryId, str] = field(default_factory=dict)
    """First annotation of each category."""
    count: int = 0
    """Annotations so far."""
    numbers: "array[int]" = field(default_factory=lambda: array("q"))
    """Ids of annotations that are integers."""
    names: list[str] = field(default_factory=list)
    """Ids of annotations that are strings."""

    def image(self, entry: Entry) -> ImageId:
        image_id = json_fields.identity(entry, "id")
        try:
            height = json_fields.integer(entry, "height", lowest=1, highest=MAX_MAP_PIXELS)
            width = json_fields.integer(entry, "width", lowest=1, highest=MAX_MAP_PIXELS // height)
            photo = self.images.find(json_fields.string(entry, "file_name")).path
            if image_id in self.photos:
                raise ValueError("listed twice")
        except ValueError as error:
            raise ValueError(f"image {image_id!r}: {error}") from None
        self.photos[image_id] = _Photo(photo, (height, width))
        return image_id

    def annotation(self, entry: Entry) -> ImageId:
        number = json_fields.identity(entry, "id")
        try:
            image_id = json_fields.identity(entry, "image_id")
        except ValueError as error:
            raise ValueError(f"annotation {number!r}: {error}") from None
        prefix = f"image {image_id!r}: annotation {number!r}"
        try:
            category_id = json_fields.identity(entry, "category_id")
            photo = self.photos.get(image_id)
            if photo is not None:
                _instance(entry, photo.size)
        except ValueError as error:
            raise ValueError(f"{prefix}: {error}") from None
        self.early += photo is None
        if isinstance(number, int):
            self.numbers.append(number)
        else:
            self.names.append(number)
        if category_id not in self.used:
            self.used[category_id] = f"annotations[{self.count}]: {prefix}"
        self.count += 1
        return image_id

    def refuse_unknown_categories(self, categories: Categories) -> None:
        for category_id, prefix in self.used.items():
            if category_id not in categories:
                unknown = coco_index.unknown_category(category_id, categories)
                raise ValueError(f"{prefix}: {unknown}")

    def refuse_duplicates(self) -> None:
        numbers = np.sort(np.frombuffer(self.numbers, np.int64))
        repeated: list[int | str] = numbers[1:][numbers[1:] == numbers[:-1]][:1].tolist()
        names = sorted(self.names)
        repeated += [one for one, other in pairwise(names) if one == other][:1]
        if repeated:
            raise ValueError(f"annotation {repeated[0]!r}: listed twice")


def _check_early(annotations: EntryList, reader: _FileReader, path: Path) -> None:
    """Check the shapes of annotations that precede their image in the file."""
    if not reader.early:
        return
    with EntryReader(path) as entries:
        for number, image_id in enumerate(annotations.image_ids):
            entry = entries.read(annotations.range(number))
            try:
                if image_id not in reader.photos:
                    raise ValueError("the image is not listed under 'images'")
                _instance(entry, reader.photos[image_id].size)
            except ValueError as error:
                prefix = f"image {image_id!r}: annotation {entry['id']!r}"
                raise ValueError(f"annotations[{number}]: {prefix}: {error}") from None


def _instance(entry: Entry, size: Size) -> Instance:
    return Instance(
        id=json_fields.identity(entry, "id"),
        category_id=json_fields.identity(entry, "category_id"),
        shape=masks.shape(entry, size),
        iscrowd=json_fields.has(entry, "iscrowd") and json_fields.flag(entry, "iscrowd"),
    )


def _categories(content: Entry, path: Path) -> Categories:
    listed = json_fields.each(content, "categories", lambda entry: {"isthing": 1, **entry})
    categories = category_entries.parse(list(listed), path)
    for category in categories:
        if not category.isthing:
            raise ValueError(
                f"category {category.id!r} ({category.name!r}) is stuff; expected only things "
                "in a file of instances"
            )
    return categories
