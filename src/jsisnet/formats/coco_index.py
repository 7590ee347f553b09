"""Streamed reading of COCO's JSON files: where the entries of each image are, and what they hold.

A large file lists millions of segments. `read_index` passes over it once and keeps the ids and byte
positions of its entries, so memory does not grow with the segments; an entry is read again from its
position when it is needed.
"""

from array import array
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from jsisnet.arrays import Bool, Float64, Int64
from jsisnet.categories import UNKNOWN, Categories, CategoryId
from jsisnet.files import json_fields
from jsisnet.files.json_fields import Entry
from jsisnet.files.json_stream import ByteRange, EntryReader, scan
from jsisnet.files.photo_folder import PhotoFolder
from jsisnet.files.png import MAX_ID
from jsisnet.panoptic import VOID, ImageId

LISTS = ("images", "annotations")
"""Keys of the long lists."""

UNSTATED = -1
"""Area of a segment whose entry has none."""

RECOUNT_HINT = "--recount-areas, or recount_areas in a program, counts the pixels instead"
"""Advice for areas that are wrong."""

_HIGHEST_AREA = 2**62

_T = TypeVar("_T")

EntryCheck = Callable[[Entry], ImageId]
"""Checks an entry and returns the id of its image; raises `ValueError` if it is invalid."""

OnWarning = Callable[[str], None]
"""Called with what is wrong with an entry that the official script accepts; may raise."""

OnError = Callable[[str, ValueError, str], None]
"""Called with the name of a list, the error of an entry, and that error with its position."""

Ranges = Int64[np.ndarray, "_ 2"]
"""Byte positions of entries: first byte, and the byte after the last."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EntryList:
    """The entries of one list, in the order of the file."""

    image_ids: tuple[ImageId, ...]
    """Image that each entry belongs to; ids may repeat."""

    ranges: Ranges
    """Where each entry is."""

    def __len__(self) -> int:
        return len(self.image_ids)

    def range(self, index: int) -> ByteRange:
        """Return the position of an entry."""
        return ByteRange(*self.ranges[index].tolist())

    def where(self, kept: Bool[np.ndarray, " n"]) -> "EntryList":
        """Return some of the entries."""
        if kept.all():
            return self
        image_ids = tuple(compress(self.image_ids, kept.tolist()))
        return EntryList(image_ids=image_ids, ranges=self.ranges[kept])

    def ranges_by_image(self, image_ids: Iterable[ImageId]) -> list[Ranges]:
        """Group the positions by image.

        Args:
            image_ids: The images, which include all of this list.

        Returns:
            For each image the positions of its entries, in the order of the file.
        """
        numbers = {image_id: number for number, image_id in enumerate(image_ids)}
        owners = np.fromiter(map(numbers.__getitem__, self.image_ids), np.int64, len(self))
        order = np.argsort(owners, kind="stable")
        counts = np.bincount(owners, minlength=len(numbers))
        return np.split(self.ranges[order], np.cumsum(counts)[:-1]) if len(counts) else []


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CocoIndex:
    """The structure of a COCO panoptic or instances file."""

    path: Path

    images: EntryList
    """Entries of ``images``."""

    annotations: EntryList
    """Entries of ``annotations``."""

    fields: Entry
    """All fields of the file; the two lists are empty."""

    errors: tuple[str, ...]
    """Messages about invalid entries, which were skipped."""


def image_of_annotation(entry: Entry) -> ImageId:
    """Return the id of an annotation's image."""
    return json_fields.identity(entry, "image_id")


def read_index(
    path: Path,
    *,
    check_image: EntryCheck | None = None,
    check_annotation: EntryCheck | None = image_of_annotation,
    skip_invalid: bool = False,
    on_error: OnError | None = None,
) -> CocoIndex:
    """Read the ids and positions of all entries, and pass each entry to a check.

    Args:
        path: COCO panoptic or instances JSON file.
        check_image: Called with each entry of ``images``; by default they are not indexed.
        check_annotation: Called with each entry of ``annotations``; ``None`` if they are not
            indexed.
        skip_invalid: Whether to skip entries that fail their check; by default the first one is an
            error.
        on_error: Called with each error in place of keeping it; such entries are skipped.

    Raises:
        ValueError: If the file is not JSON or an entry is invalid; the message names the file and
            the position in the list.
    """
    errors: list[str] = []
    ids: dict[ImageId, ImageId] = {}
    images = _Collector("images", check_image, ids)
    annotations = _Collector("annotations", check_annotation, ids)
    for collector in (images, annotations):
        collector.errors = errors if skip_invalid else None
        collector.on_error = on_error
    fields = scan(path, {each.name: each.add for each in (images, annotations)})
    return CocoIndex(
        path=path,
        images=images.entries(),
        annotations=annotations.entries(),
        fields=fields,
        errors=tuple(f"{path}: {error}" for error in errors),
    )


@dataclass
class _Collector:
    """One list of a file that is being scanned."""

    name: str
    check: EntryCheck | None
    ids: dict[ImageId, ImageId]
    """All ids so far, so that entries of one image share an object."""
    errors: list[str] | None = None
    """Receives errors instead of raising them."""
    on_error: OnError | None = None
    count: int = 0
    image_ids: list[ImageId] = field(default_factory=list)
    bounds: "array[int]" = field(default_factory=lambda: array("q"))

    def add(self, value: object, byte_range: ByteRange) -> None:
        if self.check is None:
            return
        self.count += 1
        try:
            image_id = self.check(json_fields.entry(value))
        except ValueError as error:
            message = f"{self.name}[{self.count - 1}]: {error}"
            if self.on_error is not None:
                self.on_error(self.name, error, message)
                return
            if self.errors is None:
                raise ValueError(message) from None
            self.errors.append(message)
            return
        self.image_ids.append(self.ids.setdefault(image_id, image_id))
        self.bounds.extend((byte_range.start, byte_range.stop))

    def entries(self) -> EntryList:
        ranges = np.frombuffer(self.bounds, np.int64).reshape(-1, 2)
        return EntryList(image_ids=tuple(self.image_ids), ranges=ranges)


def read_entry(path: Path, byte_range: ByteRange) -> Entry:
    """Read one entry of a file.

    Raises:
        ValueError: If the file has changed since it was indexed; the message names it.
    """
    with EntryReader(path) as reader:
        return reader.read(byte_range)


def find_photos(path: Path, folder: Path, wanted: Collection[ImageId]) -> dict[ImageId, Path]:
    """Find the photos of some images by the ``images`` of a COCO file.

    Args:
        path: The file; invalid entries are skipped.
        folder: Folder of the photos.
        wanted: Ids of the images.

    Returns:
        The photos that exist.

    Raises:
        ValueError: If the file is not JSON.
    """
    photos: dict[ImageId, Path] = {}
    located = PhotoFolder(folder)

    def note(entry: Entry) -> ImageId:
        image_id = json_fields.identity(entry, "id")
        if image_id in wanted:
            photo = located.find(json_fields.string(entry, "file_name")).path
            if photo.is_file():
                photos[image_id] = photo
        return image_id

    read_index(path, check_image=note, check_annotation=None, skip_invalid=True)
    return photos


@dataclass(frozen=True, slots=True)
class SegmentEntries:
    """The ``segments_info`` of one annotation; each column is checked when it is asked for.

    The columns raise a `ValueError` that names the segment.
    """

    by_id: dict[int, Entry]
    """Entries by panoptic id, in the order of the file."""

    @classmethod
    def of(cls, annotation: Entry, *, predicted: bool, on_duplicate: OnWarning) -> "SegmentEntries":
        """Read the entries of an annotation.

        Args:
            annotation: Entry of ``annotations``.
            predicted: Whether it is a prediction, which may use id 0.
            on_duplicate: Called for each id that is listed twice; the last entry counts.

        Raises:
            ValueError: If the list or an id is missing or invalid; the message gives the position.
        """
        values = json_fields.items(annotation, "segments_info")
        lowest = VOID if predicted else VOID + 1
        by_id: dict[Any, Any]
        try:
            by_id = {value["id"]: value for value in values}  # type: ignore[index]  # checked below
        except (KeyError, TypeError):
            by_id = {}
        if len(by_id) == len(values) and _integers(by_id, lowest, MAX_ID):
            return cls(by_id)
        by_id = {}
        for position, value in enumerate(values):
            try:
                segment = json_fields.entry(value)
                number = json_fields.integer(segment, "id", lowest=lowest, highest=MAX_ID)
            except ValueError as error:
                raise ValueError(f"segments_info[{position}]: {error}") from None
            if number in by_id:
                on_duplicate(f"segment {number}: listed twice")
            by_id[number] = segment
        return cls(by_id)

    def ids(self) -> list[int]:
        """Return the panoptic ids."""
        return list(self.by_id)

    def category_ids(self) -> list[CategoryId]:
        """Return the ids of the categories, which need not be known."""
        found = [segment.get("category_id") for segment in self.by_id.values()]
        if _integers(found, 0, MAX_ID):
            return found  # type: ignore[return-value]  # just checked
        return self._column(lambda segment: json_fields.identity(segment, "category_id"))

    def labels(self, categories: Categories, on_unknown: OnWarning) -> list[int]:
        """Return the labels, `UNKNOWN` for ids that are not in `categories`."""
        category_ids = self.category_ids()
        labels = categories.labels(category_ids)
        if UNKNOWN in labels:
            for number, category_id in zip(self.by_id, category_ids, strict=True):
                if category_id not in categories:
                    on_unknown(f"segment {number}: {unknown_category(category_id, categories)}")
        return labels

    def iscrowd(self) -> list[bool]:
        """Return which segments are crowd regions; by default none is."""
        found = [segment.get("iscrowd") for segment in self.by_id.values()]
        if _integers(found, 0, 1):
            return [each == 1 for each in found]
        return self._column(
            lambda entry: json_fields.has(entry, "iscrowd") and json_fields.flag(entry, "iscrowd")
        )

    def areas(self) -> list[int]:
        """Return the areas in pixels, or `UNSTATED`."""
        found = [segment.get("area") for segment in self.by_id.values()]
        if _integers(found, 0, _HIGHEST_AREA):
            return found  # type: ignore[return-value]  # just checked
        return self._column(_area)

    def scores(self) -> list[float | None]:
        """Return the confidences, ``None`` where there is none."""
        if not any("score" in segment for segment in self.by_id.values()):
            return [None] * len(self.by_id)
        return self._column(
            lambda entry: (
                json_fields.number(entry, "score") if json_fields.has(entry, "score") else None
            )
        )

    def _column(self, read: Callable[[Entry], _T]) -> list[_T]:
        values = []
        for number, segment in self.by_id.items():
            try:
                values.append(read(segment))
            except ValueError as error:
                raise ValueError(f"segment {number}: {error}") from None
        return values


def unknown_category(category_id: CategoryId, categories: Categories) -> str:
    """Describe a category id that the categories lack."""
    known = f"expected one of the {len(categories)} categories"
    cause = json_fields.other_type(category_id, categories)
    return f"'category_id' is {category_id!r}; {known}{cause}"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ListedMap:
    """Columns of the N segments that an annotation lists, in its order."""

    png: Path
    """The map; it may not exist."""

    ids: Int64[np.ndarray, " n"]
    """Panoptic ids, each once."""

    labels: Int64[np.ndarray, " n"]
    """Labels, `UNKNOWN` for categories that the data set lacks."""

    iscrowd: Bool[np.ndarray, " n"]
    """Which segments are crowd regions; none in predictions."""

    areas: Int64[np.ndarray, " n"]
    """Areas in pixels as the file states them; `UNSTATED` in predictions and if recounted."""

    scores: Float64[np.ndarray, " n"]
    """Confidences, NaN where there is none; always NaN in a ground truth."""


def read_listed_map(
    annotation: Entry,
    categories: Categories,
    pngs: Path,
    *,
    predicted: bool,
    recount_areas: bool = False,
    on_warning: OnWarning,
) -> ListedMap:
    """Read the columns of an annotation.

    Args:
        annotation: Entry of ``annotations``.
        categories: Classes of the ground truth.
        pngs: Folder of the maps.
        predicted: Whether it is a prediction, whose areas and crowds are ignored, and which must
            not use an unknown category.
        recount_areas: Whether to ignore the areas of a ground truth too.
        on_warning: Called for duplicate segment ids, of which the last counts, and for unknown
            categories of a ground truth.

    Raises:
        ValueError: If the annotation is invalid; the message names the segment.
    """
    segments = SegmentEntries.of(annotation, predicted=predicted, on_duplicate=on_warning)
    labels = segments.labels(categories, fail if predicted else on_warning)
    number = len(labels)
    return ListedMap(
        png=json_fields.path_in(pngs, annotation, "file_name"),
        ids=np.array(segments.ids(), np.int64),
        labels=np.array(labels, np.int64),
        iscrowd=np.array([False] * number if predicted else segments.iscrowd(), bool),
        areas=np.array(
            [UNSTATED] * number if predicted or recount_areas else segments.areas(), np.int64
        ),
        scores=np.array(segments.scores() if predicted else [None] * number, np.float64),
    )


def fail(message: str) -> None:
    """Raise a warning as a `ValueError`."""
    raise ValueError(message)


def _area(segment: Entry) -> int:
    if not json_fields.has(segment, "area"):
        return UNSTATED
    try:
        return json_fields.integer(segment, "area", highest=_HIGHEST_AREA)
    except ValueError:
        found = json_fields.shown(segment["area"])
        raise ValueError(
            f"'area' is {found}; expected the number of pixels ({RECOUNT_HINT})"
        ) from None


def _integers(values: Collection[Any], lowest: int, highest: int) -> bool:
    """Check for the usual case, integers within limits, without building messages."""
    return set(map(type, values)) == {int} and lowest <= min(values) and max(values) <= highest
