"""COCO panoptic files: a JSON file, and a folder of PNGs whose colours are segment ids."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TextIO, TypeVar

import numpy as np

from jsisnet.categories import Categories, CategoryId
from jsisnet.files import json_fields
from jsisnet.files.archives import png_folder
from jsisnet.files.atomic import replacing
from jsisnet.files.json_fields import Entry
from jsisnet.files.json_stream import ByteRange
from jsisnet.files.links import Links
from jsisnet.files.photo_folder import PhotoFolder
from jsisnet.files.png import read_ids, write_ids
from jsisnet.formats import categories_json as category_entries
from jsisnet.formats import coco_index
from jsisnet.formats.coco_index import (
    RECOUNT_HINT,
    UNSTATED,
    SegmentEntries,
    read_entry,
    read_index,
)
from jsisnet.formats.pixel_codes import renumber
from jsisnet.formats.records import Record, Source, Target, Written, size_text
from jsisnet.panoptic import ImageId, PanopticMap, Segment

_T = TypeVar("_T")

Size = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentInfo:
    """One segment as a file lists it."""

    id: int
    """Panoptic id, unique within the image: R + 256 G + 65536 B."""

    category_id: CategoryId
    """One of the file's categories."""

    iscrowd: bool = False
    """Whether this is a crowd region: a group of things that are not told apart."""

    area: int | None = None
    """Area in pixels as the file states it; ``None`` if it is ignored, as that of predictions."""

    score: float | None = None
    """Confidence of a predicted thing."""


@dataclass(frozen=True, slots=True)
class StoredSegments(Collection[SegmentInfo]):
    """The segments of one image, read from the JSON file on each pass."""

    path: Path
    byte_range: ByteRange
    predicted: bool
    areas: bool = True
    """Whether to read the areas."""

    def __iter__(self) -> Iterator[SegmentInfo]:
        entry = read_entry(self.path, self.byte_range)
        yield from _segments(entry, predicted=self.predicted, with_areas=self.areas)

    def __len__(self) -> int:
        return len(json_fields.items(read_entry(self.path, self.byte_range), "segments_info"))

    def __contains__(self, value: object) -> bool:
        return value in tuple(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Annotation:
    """The annotation of one image."""

    image_id: ImageId
    """Unique within a file of ground truth."""

    png: Path
    """The map; it may not exist."""

    image: Path | None
    """The photo; ``None`` if the file lists no images or their folder is not known."""

    size: Size | None
    """Height and width in pixels, if the file states them."""

    segments_info: Collection[SegmentInfo]
    """In the order of the file, from which they are read when they are needed."""

    predicted: bool = False
    """Whether this is a prediction; its areas are ignored and its segments must not be empty."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PanopticFile:
    """One COCO panoptic JSON file."""

    path: Path
    categories: Categories
    annotations: tuple[Annotation, ...]
    """In the order of the file."""


def read_annotations(
    path: Path,
    *,
    pngs: Path | None = None,
    images: Path | PhotoFolder | None = None,
    categories: Categories | None = None,
    predicted: bool = False,
    recount_areas: bool = False,
) -> PanopticFile:
    """Check a COCO panoptic JSON file and index its annotations; PNGs are not read.

    Args:
        path: The JSON file.
        pngs: Folder or zip of the PNGs; default: the one beside the file with the same name.
        images: Folder of the photos, if they are needed.
        categories: Expected classes; default: those that the file lists.
        predicted: Whether the file holds predictions. These may have several annotations of an
            image, segments with id 0, and any areas.
        recount_areas: Whether to ignore the areas, whatever they are.

    Raises:
        ValueError: If the file is invalid; the message names file, image and segment.
    """
    photo_folder = PhotoFolder(images) if isinstance(images, Path) else images
    with_areas = not (predicted or recount_areas)
    reader = _FileReader(images=photo_folder, predicted=predicted, with_areas=with_areas)
    index = read_index(
        path,
        check_image=None if predicted and images is None else reader.image,
        check_annotation=reader.annotation,
    )
    folder = png_folder(path, pngs)
    links = Links(folder)
    listed = images is not None or (json_fields.has(index.fields, "images") and not predicted)
    image_ids = index.annotations.image_ids
    try:
        known = _categories(index.fields, categories, path)
        json_fields.items(index.fields, "annotations")
        reader.refuse_unknown_categories(known)
        if listed:
            json_fields.items(index.fields, "images")
        photos = [reader.photo(i, n) for n, i in enumerate(image_ids)] if listed else []
        repeated = _first_duplicate(image_ids)
        if repeated is not None and not predicted:
            raise ValueError(f"image {repeated!r}: two annotations")
        maps = [folder / name for name in reader.maps]
        for png in maps:
            links.refuse(png)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    annotations = (
        Annotation(
            image_id=image_id,
            png=maps[number],
            image=photos[number].path if listed else None,
            size=photos[number].size if listed else None,
            segments_info=StoredSegments(
                path, index.annotations.range(number), predicted, with_areas
            ),
            predicted=predicted,
        )
        for number, image_id in enumerate(image_ids)
    )
    return PanopticFile(path=path, categories=known, annotations=tuple(annotations))


def read_png(
    annotation: Annotation, categories: Categories, *, recount_areas: bool = False
) -> PanopticMap:
    """Read the map of one image.

    Args:
        annotation: Annotation of the image.
        categories: Classes that define the labels.
        recount_areas: Whether to accept a ground truth whose areas differ from the PNG.

    Returns:
        The map, with segments in the order of the file. A segment of a ground truth may be empty.

    Raises:
        ValueError: If the PNG can't be read or contradicts `annotation`; the message names file,
            image and segment.
    """
    infos = tuple(annotation.segments_info)
    try:
        segments = tuple(_segment(info, categories) for info in infos)
        ids = read_ids(annotation.png)
        size = (ids.shape[0], ids.shape[1])
        if annotation.size not in (None, size, size[::-1]):
            raise ValueError(
                f"{size_text(ids.shape)} pixels, but the JSON file says "
                f"{size_text(annotation.size)}"
            )
        dense, areas = renumber(ids, [info.id for info in infos])
        for info, area in zip(infos, areas.tolist(), strict=True):
            if annotation.predicted and area == 0:
                raise ValueError(f"segment {info.id}: listed, but has no pixels")
            if not recount_areas and info.area not in (None, area):
                raise ValueError(
                    f"segment {info.id}: {area} pixels, but the JSON file says {info.area} "
                    f"({RECOUNT_HINT})"
                )
    except ValueError as error:
        raise ValueError(f"{annotation.png}: image {annotation.image_id!r}: {error}") from None
    return PanopticMap(dense, segments)


def write_png(panoptic: PanopticMap, path: Path) -> None:
    """Write a map as a PNG whose panoptic ids are the ids of the map."""
    write_ids(panoptic.ids.view(np.uint32), path)


def segments_info(panoptic: PanopticMap, categories: Categories) -> list[dict[str, object]]:
    """Return the JSON entries of a map's segments, with the ids that `write_png` writes."""
    return segment_entries(
        panoptic.segments, panoptic.areas().tolist(), panoptic.boxes().tolist(), categories
    )


def segment_entries(
    segments: Iterable[Segment],
    areas: Iterable[int],
    boxes: Iterable[Sequence[int]],
    categories: Categories,
) -> list[dict[str, object]]:
    """Return the JSON entries of segments whose ids count from 1, with their areas and boxes."""
    return [
        {
            "id": number,
            "category_id": categories[segment.label].id,
            "area": area,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "iscrowd": int(segment.iscrowd),
            "isthing": int(segment.isthing),
        }
        | ({} if segment.score is None else {"score": float(segment.score)})
        for number, (segment, area, (x0, y0, x1, y1)) in enumerate(
            zip(segments, areas, boxes, strict=True), 1
        )
    ]


@contextmanager
def writing(path: Path, categories: Categories, *, pngs: Path | None = None) -> Iterator["Writer"]:
    """Write maps one by one; the JSON file appears when the ``with`` block ends without error.

    Args:
        path: JSON file to write.
        categories: Classes of the maps.
        pngs: Folder of the PNGs; default: the folder beside the file with the same name.
    """
    folder = path.with_suffix("") if pngs is None else pngs
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        writer = Writer(file, folder, categories)
        file.write('{"annotations": [')
        yield writer
        images = json.dumps(list(writer.images.values()))
        classes = json.dumps(category_entries.entries(categories))
        file.write(f'\n],\n"images": {images},\n"categories": {classes}}}\n')


@dataclass
class Writer:
    """Writer of a COCO panoptic JSON file and its PNGs; see `writing`.

    Segments are written at once, so memory does not grow with their number.
    """

    file: TextIO
    pngs: Path
    categories: Categories
    images: dict[ImageId, dict[str, object]] = field(default_factory=dict)
    """Entries of the images that have been written."""
    _names: set[str] = field(default_factory=set)

    def add(self, panoptic: PanopticMap, *, image_id: ImageId, image_name: str) -> Path:
        """Write the map of one image.

        Args:
            panoptic: The map.
            image_id: The image's id.
            image_name: Path of the photo inside its folder; the PNG has the same path with the
                suffix ``.png``.

        Returns:
            Path of the PNG.

        Raises:
            ValueError: If the id or the PNG is a duplicate.
        """
        entry = self._entry(image_id, image_name)
        png = json_fields.path_in(self.pngs, entry, "file_name")
        write_png(panoptic, png)
        self._list(entry, segments_info(panoptic, self.categories), image_name, panoptic.size)
        return png

    def note(
        self,
        described: list[dict[str, object]],
        *,
        image_id: ImageId,
        image_name: str,
        size: tuple[int, int],
    ) -> Path:
        """List a map whose PNG is written elsewhere, for example by another process.

        Args:
            described: Entries of its segments; see `segments_info`.
            image_id: The image's id.
            image_name: Path of the photo; see `add`.
            size: Height and width of the map.

        Returns:
            Path that the PNG must have.

        Raises:
            ValueError: If the id or the PNG is a duplicate.
        """
        entry = self._entry(image_id, image_name)
        png = json_fields.path_in(self.pngs, entry, "file_name")
        self._list(entry, described, image_name, size)
        return png

    def _entry(self, image_id: ImageId, image_name: str) -> dict[str, object]:
        name = Path(image_name).with_suffix(".png").as_posix()
        if image_id in self.images:
            raise ValueError(f"image {image_id!r} is written twice")
        if name in self._names:
            raise ValueError(f"image {image_id!r}: {name} is already the map of another image")
        return {"image_id": image_id, "file_name": name}

    def _list(
        self,
        entry: dict[str, object],
        described: list[dict[str, object]],
        image_name: str,
        size: tuple[int, int],
    ) -> None:
        annotation = json.dumps({**entry, "segments_info": described})
        self.file.write((",\n" if self.images else "\n") + annotation)
        height, width = size
        image_id = json_fields.identity(entry, "image_id")
        dimensions = {"height": height, "width": width}
        self.images[image_id] = {"id": image_id, "file_name": image_name, **dimensions}
        self._names.add(json_fields.string(entry, "file_name"))


@dataclass(frozen=True, slots=True)
class _Photo:
    """Photo of an image, as far as it is known; an error is raised only if it is annotated."""

    path: Path | None = None
    size: Size | None = None
    error: str | None = None


@dataclass(kw_only=True)
class _FileReader:
    """Checks of the entries of one file, and the little of them that stays in memory."""

    images: PhotoFolder | None
    predicted: bool
    with_areas: bool
    photos: dict[ImageId, _Photo] = field(default_factory=dict)
    maps: list[Path] = field(default_factory=list)
    """Path of each annotation's map inside the folder of the maps."""
    used: dict[CategoryId, str] = field(default_factory=dict)
    """First segment of each category."""

    def image(self, entry: Entry) -> ImageId:
        image_id = json_fields.identity(entry, "id")
        try:
            self.photos[image_id] = self._photo(entry)
        except ValueError as error:
            self.photos[image_id] = _Photo(error=str(error))
        return image_id

    def annotation(self, entry: Entry) -> ImageId:
        image_id = json_fields.identity(entry, "image_id")
        try:
            self.maps.append(json_fields.path_in(Path(), entry, "file_name"))
            segments = _segment_entries(entry, predicted=self.predicted)
            category_ids = segments.category_ids()
            segments.iscrowd()
            segments.scores()
            if self.with_areas:
                segments.areas()
        except ValueError as error:
            raise ValueError(f"image {image_id!r}: {error}") from None
        if not self.used.keys() >= set(category_ids):
            for number, category_id in zip(segments.ids(), category_ids, strict=True):
                prefix = f"annotations[{len(self.maps) - 1}]: image {image_id!r}: segment {number}"
                self.used.setdefault(category_id, prefix)
        return image_id

    def photo(self, image_id: ImageId, number: int) -> _Photo:
        """Return the photo of an annotation."""
        photo = self.photos.get(image_id, _Photo(error="not listed under 'images'"))
        if photo.error is not None:
            cause = json_fields.other_type(image_id, self.photos)
            raise ValueError(f"annotations[{number}]: image {image_id!r}: {photo.error}{cause}")
        return photo

    def refuse_unknown_categories(self, categories: Categories) -> None:
        for category_id, prefix in self.used.items():
            if category_id not in categories:
                unknown = coco_index.unknown_category(category_id, categories)
                raise ValueError(f"{prefix}: {unknown}")

    def _photo(self, entry: Entry) -> _Photo:
        path = None
        if self.images is not None:
            path = self.images.find(json_fields.string(entry, "file_name")).path
        if not (json_fields.has(entry, "height") and json_fields.has(entry, "width")):
            return _Photo(path=path)
        height = json_fields.integer(entry, "height", lowest=1)
        width = json_fields.integer(entry, "width", lowest=1)
        return _Photo(path=path, size=(height, width))


def _categories(content: Entry, given: Categories | None, path: Path) -> Categories:
    if given is None:
        return category_entries.parse(json_fields.items(content, "categories"), path)
    category_entries.refuse_other_names(content, given)
    return given


def _first_duplicate(values: Iterable[_T]) -> _T | None:
    return next((value for value, times in Counter(values).items() if times > 1), None)


def _segment_entries(entry: Entry, *, predicted: bool) -> SegmentEntries:
    return SegmentEntries.of(entry, predicted=predicted, on_duplicate=coco_index.fail)


def _segments(entry: Entry, *, predicted: bool, with_areas: bool) -> Iterator[SegmentInfo]:
    segments = _segment_entries(entry, predicted=predicted)
    numbers = segments.ids()
    areas = segments.areas() if with_areas else [UNSTATED] * len(numbers)
    columns = segments.category_ids(), segments.iscrowd(), areas, segments.scores()
    for number, category_id, iscrowd, area, score in zip(numbers, *columns, strict=True):
        yield SegmentInfo(
            id=number,
            category_id=category_id,
            iscrowd=iscrowd,
            area=None if area == UNSTATED else area,
            score=score,
        )


def _segment(info: SegmentInfo, categories: Categories) -> Segment:
    label = categories.label(info.category_id)
    return Segment(
        label=label, isthing=categories[label].isthing, iscrowd=info.iscrowd, score=info.score
    )


def coco_target(folder: Path, categories: Categories) -> Target:
    """Prepare to write maps below ``panoptic``; the index is their JSON file."""
    return Target(folder=folder, categories=categories, write_map=_write_map, index="panoptic.json")


def _write_map(folder: Path, categories: Categories, panoptic: PanopticMap, stem: str) -> Written:
    name = f"{stem}.png"
    path = f"panoptic/{name}"
    write_png(panoptic, folder / path)
    annotation = {"file_name": name, "segments_info": segments_info(panoptic, categories)}
    return Written(lost={}, files=(path,), annotation=annotation)


def source(
    annotations: Path,
    *,
    pngs: Path | None = None,
    images: Path | None = None,
    recount_areas: bool = False,
) -> Source:
    """Open COCO panoptic files, which cityscapesScripts writes too.

    Args:
        annotations: The JSON file, which must list the images.
        pngs: Folder of the PNGs; default: the folder beside the file with the same name.
        images: Folder of the photos, if it is known.
        recount_areas: Whether to accept areas that differ from the PNGs.

    Raises:
        ValueError: If the file is invalid.
    """
    folder, photos = images or Path(), PhotoFolder(images)
    file = read_annotations(annotations, pngs=pngs, images=photos, recount_areas=recount_areas)
    records = []
    for annotation in file.annotations:
        assert annotation.image is not None  # a folder of photos was given
        records.append(
            Record(
                image_id=annotation.image_id,
                name=annotation.image.relative_to(folder).as_posix(),
                image=None if images is None else annotation.image,
                size=annotation.size,
                read=partial(read_png, annotation, file.categories, recount_areas=recount_areas),
                maps=(annotation.png,),
            )
        )
    return Source(
        categories=file.categories,
        records=tuple(records),
        warnings=photos.warnings(len(records)),
    )


def instances_source(
    annotations: Path, *, images: Path | None = None, keep_going: bool = False
) -> Source:
    """Open a COCO instances file; pixels outside its things are void.

    Args:
        annotations: The JSON file.
        images: Folder of the photos, if it is known.
        keep_going: Whether to leave out the entries that cannot be used.

    Raises:
        ValueError: If the file is invalid.
    """
    from jsisnet.formats import coco_instances

    draw = coco_instances.draw if images is None else coco_instances.draw_as_photo
    folder, photos = images or Path(), PhotoFolder(images)
    file = coco_instances.read_annotations(annotations, images=photos, keep_going=keep_going)
    records = (
        Record(
            image_id=annotation.image_id,
            name=annotation.image.relative_to(folder).as_posix(),
            image=None if images is None else annotation.image,
            size=annotation.size,
            read=partial(draw, annotation, file.categories),
        )
        for annotation in file.annotations
    )
    return Source(
        categories=file.categories,
        records=tuple(records),
        warnings=(*file.warnings, *photos.warnings(len(file.annotations))),
    )
