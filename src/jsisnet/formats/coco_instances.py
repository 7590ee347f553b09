"""COCO instances files: one JSON file with the outlines of things, and nothing about stuff."""

import math
from array import array
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from jsisnet.categories import Categories, CategoryId
from jsisnet.files import json_fields, json_stream
from jsisnet.files.json_fields import Entry
from jsisnet.files.json_stream import ByteRange, EntryReader
from jsisnet.files.links import RefusedLinkError
from jsisnet.files.memory import check_memory
from jsisnet.files.photo_folder import PhotoFolder
from jsisnet.files.photos import MAX_PIXELS, read_header
from jsisnet.formats import categories_json as category_entries
from jsisnet.formats import coco_index, masks
from jsisnet.formats.coco_index import EntryList, Ranges
from jsisnet.formats.instance_faults import Fault, FaultCounter, FaultError, OnFault
from jsisnet.formats.masks import MissingOutlineError, Shape
from jsisnet.formats.records import istransposed, size_text
from jsisnet.panoptic import VOID, ImageId, PanopticMap, Segment

Size = tuple[int, int]
"""Height and width in pixels."""

_DRAWN = 9
"""Bytes of memory for each pixel of a photo whose things are drawn and written."""

_BOX_NUMBERS = 4
"""Numbers of a box: left, top, width and height."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Instance:
    """One thing as a file lists it."""

    id: int | str | None
    """Usually unique within the file; ``None`` if it has none."""

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
                yield parse_instance(reader.read(ByteRange(start, stop)), self.size)

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

    entry: ByteRange
    """Position of the image's entry in the file."""

    ranges: Ranges
    """Positions of the annotations' entries in the file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InstancesFile:
    """One COCO instances JSON file."""

    path: Path
    fields: Entry
    """All fields of the file; the lists of images and annotations are empty."""
    categories: Categories
    """All of them are things."""
    used: frozenset[CategoryId]
    """Categories that at least one instance has."""
    annotations: tuple[Annotation, ...]
    """One for each image that the file lists, in its order."""
    warnings: tuple[str, ...] = ()
    """What was odd, or left out."""


def read_annotations(
    path: Path,
    *,
    images: Path | PhotoFolder,
    keep_going: bool = False,
    on_fault: OnFault = lambda *_: None,
    parse_categories: Callable[[Entry, Path], Categories] | None = None,
) -> InstancesFile:
    """Check a COCO instances JSON file and index its annotations.

    Args:
        path: The file.
        images: Folder of the photos.
        keep_going: Whether to leave out the entries that cannot be used.
        on_fault: Called with each fault, also with those that are tolerated.
        parse_categories: Reads the classes from the fields of the file; default: as
            `read_categories` does.

    Raises:
        ValueError: If the file is invalid, or entries cannot be used and `keep_going` is off. The
            message counts the faults of each kind and gives the first of each, with its image and
            annotation.
    """
    counter = FaultCounter()

    def note(fault: Fault, message: str) -> None:
        counter.add(fault, message)
        on_fault(fault, message)

    folder = images if isinstance(images, PhotoFolder) else PhotoFolder(images)
    reader = _FileReader(images=folder, on_fault=note)
    index = coco_index.read_index(
        path,
        check_image=reader.image,
        check_annotation=reader.annotation,
        on_error=reader.note_error,
    )
    try:
        categories = (parse_categories or _categories)(index.fields, path)
        for name in coco_index.LISTS:
            json_fields.items(index.fields, name)
        listed = _usable(index.annotations, reader, categories, path)
        reader.note_duplicates()
        if not keep_going:
            counter.refuse()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    annotations = (
        Annotation(
            image_id=image_id,
            image=photo.path,
            size=photo.size,
            instances=StoredInstances(path, own, reader.turned.get(image_id, photo.size)),
            entry=index.images.range(number),
            ranges=own,
        )
        for number, ((image_id, photo), own) in enumerate(
            zip(reader.photos.items(), listed.ranges_by_image(reader.photos), strict=True)
        )
    )
    return InstancesFile(
        path=path,
        fields=index.fields,
        categories=categories,
        used=frozenset(reader.used),
        annotations=tuple(annotations),
        warnings=counter.warnings(),
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


def sized_as_photo(annotation: Annotation) -> Annotation:
    """Return an annotation whose height and width are swapped if the size of its photo says so."""
    size = own_size(annotation.image, annotation.size)
    if size == annotation.size:
        return annotation
    instances = annotation.instances
    if isinstance(instances, StoredInstances):
        instances = replace(instances, size=size)
    return replace(annotation, size=size, instances=instances)


def own_size(photo: Path, listed: Size) -> Size:
    """Return the size of a photo if height and width are listed swapped, else the listed one.

    Not if EXIF turns the photo, since its outlines may then refer to the turned one.
    """
    header = read_header(photo)
    if header is None or header.isturned or not istransposed(listed, header.size):
        return listed
    return header.size


def refuse_large(annotation: Annotation) -> None:
    """Check that the memory of a picture is enough for the size that the file lists.

    Raises:
        ValueError: If it is not. The message names the file and the image.
    """
    stored = annotation.instances
    file = f"{stored.path}: " if isinstance(stored, StoredInstances) else ""
    try:
        check_memory(_DRAWN * math.prod(annotation.size), f"{size_text(annotation.size)} pixels")
    except ValueError as error:
        raise ValueError(f"{file}image {annotation.image_id!r}: {error}") from None


def draw_as_photo(annotation: Annotation, categories: Categories) -> PanopticMap:
    """Draw the things of one image in the size of its photo; see `sized_as_photo` and `draw`."""
    sized = sized_as_photo(annotation)
    try:
        return draw(sized, categories)
    except ValueError as error:
        if sized is annotation:
            raise
        found, listed = size_text(sized.size), size_text(annotation.size)
        raise ValueError(
            f"{annotation.image}: {found} pixels, but the JSON file says {listed}: {error}"
        ) from None


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

    Raises:
        ValueError: If an outline is invalid, or the photo is too large for the memory of a picture.
    """
    refuse_large(annotation)
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


def parse_instance(entry: Entry, size: Size, on_oddity: OnFault = lambda *_: None) -> Instance:
    """Read an entry of ``annotations``.

    Args:
        entry: The entry.
        size: Height and width of its image.
        on_oddity: Called with what is odd in its outline.

    Raises:
        ValueError: If it is invalid.
    """
    return Instance(
        id=_number(entry),
        category_id=json_fields.identity(entry, "category_id"),
        shape=masks.shape(entry, size, on_oddity),
        iscrowd=_iscrowd(entry),
    )


@dataclass(frozen=True, slots=True)
class _Photo:
    path: Path
    size: Size


@dataclass(kw_only=True)
class _FileReader:
    """Checks of the entries of one file, and the little of them that stays in memory."""

    images: PhotoFolder
    on_fault: OnFault
    photos: dict[ImageId, _Photo] = field(default_factory=dict)
    """In the order of the file."""
    turned: dict[ImageId, Size] = field(default_factory=dict)
    """Sizes of photos that an outline fits, unlike the listed size."""
    early: "array[int]" = field(default_factory=lambda: array("q"))
    """Positions, among the valid annotations, of those that precede their image in the file."""
    used: dict[CategoryId, int] = field(default_factory=dict)
    """Categories of the valid annotations, numbered in the order of the file."""
    classes: "array[int]" = field(default_factory=lambda: array("q"))
    """Number of each valid annotation's category."""
    numbers: "array[int]" = field(default_factory=lambda: array("q"))
    """Ids of annotations that are integers."""
    names: list[str] = field(default_factory=list)
    """Ids of annotations that are strings."""

    def image(self, entry: Entry) -> ImageId:
        image_id = json_fields.identity(entry, "id")
        try:
            height = json_fields.integer(entry, "height", lowest=1, highest=MAX_PIXELS)
            width = json_fields.integer(entry, "width", lowest=1, highest=MAX_PIXELS // height)
            photo = self.images.find(json_fields.string(entry, "file_name")).path
        except RefusedLinkError as error:
            raise FaultError(Fault.LINK, f"image {image_id!r}: {error}") from None
        except ValueError as error:
            raise ValueError(f"image {image_id!r}: {error}") from None
        if image_id in self.photos:
            isequal = self.photos[image_id] == _Photo(photo, (height, width))
            fault = Fault.IMAGE_AGAIN if isequal else Fault.IMAGE_ID
            raise FaultError(fault, f"image {image_id!r}: listed twice")
        self.photos[image_id] = _Photo(photo, (height, width))
        return image_id

    def annotation(self, entry: Entry) -> ImageId:
        number = _number(entry)
        try:
            image_id = json_fields.identity(entry, "image_id")
        except ValueError as error:
            raise ValueError(f"annotation {number!r}: {error}") from None
        try:
            category_id = json_fields.identity(entry, "category_id")
        except ValueError as error:
            raise ValueError(f"{_place(entry)}: {error}") from None
        photo = self.photos.get(image_id)
        if photo is None:
            self.early.append(len(self.classes))
        else:
            self.check_outline(entry, photo)
        self._check_crowd(entry)
        self.classes.append(self.used.setdefault(category_id, len(self.used)))
        if isinstance(number, int):
            self.numbers.append(number)
        elif number is not None:
            self.names.append(number)
        else:
            self.on_fault(Fault.ID, f"{_place(entry)}: no valid 'id'")
        return image_id

    def _check_crowd(self, entry: Entry) -> None:
        try:
            if json_fields.has(entry, "iscrowd"):
                json_fields.flag(entry, "iscrowd")
        except ValueError as error:
            text = f"{_place(entry)}: {error}; read as {int(_iscrowd(entry))}"
            self.on_fault(Fault.CROWD, text)

    def check_outline(self, entry: Entry, photo: _Photo) -> None:
        """Raise a `FaultError` if an annotation has no usable outline."""
        try:
            oddities = self._shape_oddities(entry, photo)
        except MissingOutlineError as error:
            fault = Fault.NOTHING if _is_nothing(entry) else Fault.NO_OUTLINE
            raise FaultError(fault, f"{_place(entry)}: {error}") from None
        except ValueError as error:
            raise FaultError(Fault.OUTLINE, f"{_place(entry)}: {error}") from None
        for fault, text in oddities:
            self.on_fault(fault, f"{_place(entry)}: {text}")

    def _shape_oddities(self, entry: Entry, photo: _Photo) -> list[tuple[Fault, str]]:
        """Return what is odd about an outline, which may fit only the photo's own size."""
        oddities: list[tuple[Fault, str]] = []
        try:
            masks.shape(entry, photo.size, lambda *oddity: oddities.append(oddity))
        except MissingOutlineError:
            raise
        except ValueError:
            own = photo.size if self.images.root is None else own_size(photo.path, photo.size)
            if own == photo.size:
                raise
            oddities.clear()
            masks.shape(entry, own, lambda *oddity: oddities.append(oddity))
            self.turned[json_fields.identity(entry, "image_id")] = own
        return oddities

    def note_error(self, name: str, error: ValueError, message: str) -> None:
        """Tell of an entry that is left out."""
        kind = Fault.IMAGE if name == "images" else Fault.ENTRY
        self.on_fault(error.fault if isinstance(error, FaultError) else kind, message)

    def note_duplicates(self) -> None:
        """Tell of the annotations whose id an earlier one has."""
        numbers = np.sort(np.frombuffer(self.numbers, np.int64))
        repeated: list[int | str] = numbers[1:][numbers[1:] == numbers[:-1]].tolist()
        repeated += [one for one, other in pairwise(sorted(self.names)) if one == other]
        for number in repeated:
            self.on_fault(Fault.ID, f"annotation {number!r}: listed twice")


def _usable(
    annotations: EntryList, reader: _FileReader, categories: Categories, path: Path
) -> EntryList:
    """Return the annotations without those of unknown categories and images.

    The outlines of annotations that precede their image in the file are checked here.
    """
    kept = np.ones(len(annotations), bool)
    classes = np.frombuffer(reader.classes, np.int64)
    unknown = [number for each, number in reader.used.items() if each not in categories]
    strange = np.isin(classes, unknown)
    late = np.union1d(np.flatnonzero(strange), np.frombuffer(reader.early, np.int64))
    if len(late):
        with EntryReader(path) as entries:
            for number in late.tolist():
                entry = entries.read(annotations.range(number))
                try:
                    _check_late(entry, reader, categories)
                except FaultError as error:
                    reader.on_fault(error.fault, str(error))
                    kept[number] = False
        left = set(classes[kept].tolist())
        reader.used = {each: number for each, number in reader.used.items() if number in left}
    return annotations.where(kept)


def _check_late(entry: Entry, reader: _FileReader, categories: Categories) -> None:
    image_id = json_fields.identity(entry, "image_id")
    category_id = json_fields.identity(entry, "category_id")
    photo = reader.photos.get(image_id)
    if photo is None:
        cause = json_fields.other_type(image_id, reader.photos)
        text = f"the image is not listed under 'images', or invalid{cause}"
        raise FaultError(Fault.UNLISTED, f"{_place(entry)}: {text}")
    if category_id not in categories:
        unknown = coco_index.unknown_category(category_id, categories)
        raise FaultError(Fault.CATEGORY, f"{_place(entry)}: {unknown}")
    reader.check_outline(entry, photo)


def _number(entry: Entry) -> int | str | None:
    """Return the id of an annotation, which nothing depends on."""
    try:
        return json_fields.identity(entry, "id")
    except ValueError:
        return None


def _place(entry: Entry) -> str:
    """Say which annotation an entry is."""
    number = _number(entry)
    name = "annotation without an id" if number is None else f"annotation {number!r}"
    return f"image {json_fields.identity(entry, 'image_id')!r}: {name}"


def _iscrowd(entry: Entry) -> bool:
    return json_fields.has(entry, "iscrowd") and json_fields.crowd_flag(entry["iscrowd"])


def _is_nothing(entry: Entry) -> bool:
    """Check whether an annotation without an outline has no area either."""
    area, box = entry.get("area"), entry.get("bbox")
    if area is None:
        return isinstance(box, list) and len(box) == _BOX_NUMBERS and box[2] == 0 == box[3]
    return area == 0 and not isinstance(area, bool)


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
