"""COCO instances files: one JSON file that outlines things and is silent about all the rest."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from hotcoco import mask
from jaxtyping import Float64

from jsisnet.categories import Categories, CategoryId
from jsisnet.formats import categories as category_entries
from jsisnet.formats import fields
from jsisnet.formats.coco_listed import ImageId
from jsisnet.formats.fields import Entry
from jsisnet.panoptic import VOID, PanopticMap, Segment

Polygon = Float64[np.ndarray, " _"]
"""Corners of an outline in pixels: x, y, x, y and so on. Whole numbers are edges of pixels."""

RunLengths = Mapping[str, object]
"""A mask as the library takes it: its size, and its compressed runs down the columns."""

_FEWEST = 6
"""Numbers of a triangle."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Instance:
    """What a file says about one thing."""

    id: int | str
    """Unique within the file."""

    category_id: CategoryId
    """Known to the file's categories."""

    shape: tuple[Polygon, ...] | RunLengths
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
    content = fields.load(path)
    try:
        categories = _categories(content)
        listed = fields.each(content, "images", partial(_photo, images))
        photos = {photo.image_id: photo for photo in listed}
        _refuse_twice("image", [photo.image_id for photo in listed])
        reader = _Reader(categories=categories, photos=photos)
        owned = fields.each(content, "annotations", reader.instance)
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
    content = fields.load(path)
    try:
        return _categories(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def draw(annotation: Annotation, categories: Categories) -> PanopticMap:
    """Draw the things of one image; what none of them covers is void.

    Outlines may overlap, but a pixel belongs to one segment: where two things meet, the smaller
    one lies on top, because it would vanish otherwise; of two that are equally large, the later
    one of the file. Crowds lie below everything. Masks are drawn one after another, so memory
    doesn't grow with their number.

    Args:
        annotation: What the file says about the image.
        categories: Classes whose labels the segments get.

    Returns:
        The map, with segments in the order of the file. A hidden thing owns no pixel.
    """
    instances = annotation.instances
    runs = [_runs(instance, annotation.size) for instance in instances]
    areas = [mask.area(one) for one in runs]
    ids = np.full(annotation.size, VOID, np.int32)
    for i in sorted(range(len(runs)), key=lambda i: (not instances[i].iscrowd, -areas[i])):
        x, y, width, height = mask.to_bbox(runs[i]).astype(int)
        box = (slice(y, y + height), slice(x, x + width))
        np.copyto(ids[box], i + 1, where=mask.decode(runs[i])[box].astype(bool))
    labels = [categories.label(instance.category_id) for instance in instances]
    return PanopticMap(
        ids,
        tuple(
            Segment(label=label, isthing=True, iscrowd=instance.iscrowd)
            for label, instance in zip(labels, instances, strict=True)
        ),
    )


def _runs(instance: Instance, size: tuple[int, int]) -> dict[str, object]:
    if isinstance(instance.shape, Mapping):
        return dict(instance.shape)
    return mask.merge([mask.fr_poly(polygon.tolist(), *size) for polygon in instance.shape])


def _photo(images: Path, values: Entry) -> Annotation:
    image_id = fields.identity(values, "id")
    try:
        height = fields.integer(values, "height", lowest=1)
        width = fields.integer(values, "width", lowest=1)
        image = fields.path_in(images, values, "file_name")
    except ValueError as error:
        raise ValueError(f"image {image_id!r}: {error}") from None
    return Annotation(image_id=image_id, image=image, size=(height, width), instances=())


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reader:
    """What the annotations of one file have in common."""

    categories: Categories
    photos: Mapping[ImageId, Annotation]

    def instance(self, values: Entry) -> tuple[ImageId, Instance]:
        number = fields.identity(values, "id")
        try:
            image_id = fields.identity(values, "image_id")
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
        category_id = fields.identity(values, "category_id")
        if category_id not in self.categories:
            known = f"one of the {len(self.categories)} categories"
            raise ValueError(f"'category_id' is {category_id!r}, expected {known}")
        return Instance(
            id=number,
            category_id=category_id,
            shape=_shape(values, size),
            iscrowd=fields.has(values, "iscrowd") and fields.flag(values, "iscrowd"),
        )


def _categories(content: Entry) -> Categories:
    listed = fields.each(content, "categories", lambda entry: {"isthing": 1, **entry})
    categories = category_entries.parse(list(listed))
    for category in categories:
        if not category.isthing:
            raise ValueError(
                f"category {category.id!r} ({category.name!r}) is stuff; a file of instances "
                "speaks of things alone"
            )
    return categories


def _shape(values: Entry, size: tuple[int, int]) -> tuple[Polygon, ...] | RunLengths:
    found = values.get("segmentation")
    if isinstance(found, dict):
        return _run_lengths(found, size)
    if not fields.has(values, "segmentation") or not fields.items(values, "segmentation"):
        raise ValueError("has no 'segmentation'; a box alone doesn't tell its pixels")
    return tuple(
        _polygon(position, corners, size)
        for position, corners in enumerate(fields.items(values, "segmentation"))
    )


def _polygon(position: int, corners: object, size: tuple[int, int]) -> Polygon:
    name = f"polygon {position} of 'segmentation'"
    try:
        numbers = np.array(corners)
    except ValueError:  # lists of several lengths
        numbers = np.array(None)
    if numbers.ndim != 1 or len(numbers) % 2 or len(numbers) < _FEWEST:
        raise ValueError(f"{name} is no list of x, y, x, y for at least three corners")
    if numbers.dtype.kind not in "if" or not np.isfinite(numbers).all():
        raise ValueError(f"{name} holds something else than finite numbers")
    limits = np.array(size[::-1])
    points = numbers.astype(np.float64)
    if (abs(points.reshape(-1, 2) - limits / 2) > 1.5 * limits).any():
        raise ValueError(f"{name} lies far outside the photo of {size[0]}x{size[1]} pixels")
    return points


def _run_lengths(values: Entry, size: tuple[int, int]) -> RunLengths:
    height, width = size
    if values.get("size") != [height, width]:
        raise ValueError(
            f"the size of its mask is {values.get('size')}, expected that of the image, "
            f"[{height}, {width}]"
        )
    counts = values.get("counts")
    if isinstance(counts, list) and not _covers(counts, height * width):
        raise ValueError(
            f"the 'counts' of its mask are no whole numbers that add up to {height * width}, the "
            "pixels of the image"
        )
    try:
        return mask.fr_py_objects({"size": [height, width], "counts": counts}, height, width)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the 'counts' of its mask can't be read ({error})") from None


def _covers(counts: list[object], pixels: int) -> bool:
    lengths = [count for count in counts if isinstance(count, int) and 0 <= count <= pixels]
    return len(lengths) == len(counts) and sum(lengths) == pixels


def _refuse_twice(kind: str, ids: Iterable[int | str]) -> None:
    seen: set[int | str] = set()
    for number in ids:
        if number in seen:
            raise ValueError(f"{kind} {number!r}: is listed twice")
        seen.add(number)
