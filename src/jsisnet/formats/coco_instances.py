"""COCO instances files: one JSON file that outlines things and is silent about all the rest."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from jsisnet.categories import Categories, CategoryId
from jsisnet.files import json_fields
from jsisnet.files.json_fields import Entry
from jsisnet.files.png import MAX_MAP_PIXELS
from jsisnet.formats import categories_json as category_entries
from jsisnet.formats import masks
from jsisnet.formats.masks import Shape
from jsisnet.panoptic import VOID, ImageId, PanopticMap, Segment


@dataclass(frozen=True, kw_only=True, slots=True)
class Instance:
    """What a file says about one thing."""

    id: int | str
    """Unique within the file."""

    category_id: CategoryId
    """Known to the file's categories."""

    shape: Shape
    """Outlines of its visible parts, or its mask."""

    iscrowd: bool
    """Whether the region holds a group of things that nobody took apart."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Annotation:
    """What a file says about one image."""

    image_id: ImageId
    """Unique within the file."""

    image: Path
    """The photo; it may not exist."""

    size: tuple[int, int]
    """Height and width in pixels."""

    instances: tuple[Instance, ...]
    """In the order of the file; possibly none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InstancesFile:
    """One COCO instances JSON file."""

    path: Path
    categories: Categories
    """All of them are things."""
    annotations: tuple[Annotation, ...]
    """One for each photo that the file lists, in its order."""


def read_annotations(path: Path, *, images: Path) -> InstancesFile:
    """Read a COCO instances JSON file.

    Args:
        path: The file.
        images: Folder of the photos.

    Raises:
        ValueError: If the file breaks a rule of the format; the message names file, image and
            annotation.
    """
    content = json_fields.load(path)
    try:
        categories = _categories(content)
        listed = json_fields.each(content, "images", partial(_photo, images))
        photos = {photo.image_id: photo for photo in listed}
        _refuse_twice("image", [photo.image_id for photo in listed])
        reader = _Reader(categories=categories, photos=photos)
        owned = json_fields.each(content, "annotations", reader.instance)
        _refuse_twice("annotation", [instance.id for _, instance in owned])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    instances: dict[ImageId, list[Instance]] = {image_id: [] for image_id in photos}
    for image_id, instance in owned:
        instances[image_id].append(instance)
    annotations = tuple(
        replace(photo, instances=tuple(instances[photo.image_id])) for photo in listed
    )
    return InstancesFile(path=path, categories=categories, annotations=annotations)


def read_categories(path: Path) -> Categories:
    """Read the categories that a COCO instances file lists, and nothing else of it.

    Raises:
        ValueError: If the file is missing or an entry breaks a rule; the message names the file.
    """
    content = json_fields.load(path)
    try:
        return _categories(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def draw(annotation: Annotation, categories: Categories) -> PanopticMap:
    """Draw the outlines of one image; what none of them covers is void.

    Outlines may overlap, but a pixel belongs to one segment: where two meet, the smaller
    one lies on top, because it would vanish otherwise; of two that are equally large, the later
    one of the file. Crowds lie below everything. Masks are drawn one after another, so memory
    doesn't grow with their number.

    Args:
        annotation: What the file says about the image.
        categories: Classes whose labels the segments get.

    Returns:
        The map, with a segment for each outline, in the order of the file. A hidden one owns no
        pixel.
    """
    instances = annotation.instances
    runs = [masks.runs(instance.shape, annotation.size) for instance in instances]
    areas = [masks.area(one) for one in runs]
    ids = np.full(annotation.size, VOID, np.int32)
    for i in sorted(range(len(runs)), key=lambda i: (not instances[i].iscrowd, -areas[i])):
        window, pixels = masks.drawn(runs[i])
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


def _photo(images: Path, values: Entry) -> Annotation:
    image_id = json_fields.identity(values, "id")
    try:
        height = json_fields.integer(values, "height", lowest=1, highest=MAX_MAP_PIXELS)
        width = json_fields.integer(values, "width", lowest=1, highest=MAX_MAP_PIXELS // height)
        image = json_fields.path_in(images, values, "file_name")
    except ValueError as error:
        raise ValueError(f"image {image_id!r}: {error}") from None
    return Annotation(image_id=image_id, image=image, size=(height, width), instances=())


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reader:
    """What the annotations of one file have in common."""

    categories: Categories
    photos: Mapping[ImageId, Annotation]

    def instance(self, values: Entry) -> tuple[ImageId, Instance]:
        number = json_fields.identity(values, "id")
        try:
            image_id = json_fields.identity(values, "image_id")
        except ValueError as error:
            raise ValueError(f"annotation {number!r}: {error}") from None
        try:
            return image_id, self._instance(number, self._size(image_id), values)
        except ValueError as error:
            raise ValueError(f"image {image_id!r}: annotation {number!r}: {error}") from None

    def _size(self, image_id: ImageId) -> tuple[int, int]:
        if image_id not in self.photos:
            raise ValueError("the image is not listed under 'images'")
        return self.photos[image_id].size

    def _instance(self, number: int | str, size: tuple[int, int], values: Entry) -> Instance:
        category_id = json_fields.identity(values, "category_id")
        if category_id not in self.categories:
            known = f"one of the {len(self.categories)} categories"
            raise ValueError(f"'category_id' is {category_id!r}, expected {known}")
        return Instance(
            id=number,
            category_id=category_id,
            shape=masks.shape(values, size),
            iscrowd=json_fields.has(values, "iscrowd") and json_fields.flag(values, "iscrowd"),
        )


def _categories(content: Entry) -> Categories:
    listed = json_fields.each(content, "categories", lambda entry: {"isthing": 1, **entry})
    categories = category_entries.parse(list(listed))
    for category in categories:
        if not category.isthing:
            raise ValueError(
                f"category {category.id!r} ({category.name!r}) is stuff; a file of instances "
                "speaks of things alone"
            )
    return categories


def _refuse_twice(kind: str, ids: Iterable[int | str]) -> None:
    seen: set[int | str] = set()
    for number in ids:
        if number in seen:
            raise ValueError(f"{kind} {number!r}: is listed twice")
        seen.add(number)
