"""COCO panoptic files: a JSON file, and a folder of PNGs whose colours are segment ids."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
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
from jsisnet.files.png import MAX_ID, read_ids, write_ids
from jsisnet.formats import categories_json as category_entries
from jsisnet.formats import coco_instances
from jsisnet.formats.pixel_codes import renumber
from jsisnet.formats.records import Record, Source, Target, Written, size_text
from jsisnet.panoptic import VOID, ImageId, PanopticMap, Segment

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentInfo:
    """What a file says about one segment."""

    id: int
    """Panoptic id, unique within the image: R + 256 G + 65536 B."""

    category_id: CategoryId
    """Known to the file's categories."""

    iscrowd: bool = False
    """Whether the region holds a group of things that nobody took apart."""

    area: int | None = None
    """Pixels that the file claims; ``None`` for predictions, whose claim never counts."""

    score: float | None = None
    """Confidence of a predicted thing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Annotation:
    """What a file says about one image."""

    image_id: ImageId
    """Unique within a truth file."""

    png: Path
    """The map; it may not exist."""

    image: Path | None
    """The photo; ``None`` if the file lists no images or nobody said where they are."""

    size: tuple[int, int] | None
    """Height and width in pixels, if the file states them."""

    segments_info: tuple[SegmentInfo, ...]
    """In the order of the file."""

    predicted: bool = False
    """Whether a program drew the map; the rules for predictions differ."""


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
    images: Path | None = None,
    categories: Categories | None = None,
    predicted: bool = False,
) -> PanopticFile:
    """Read a COCO panoptic JSON file, but none of its PNGs.

    Args:
        path: The JSON file.
        pngs: Folder or zip of the PNGs; default: the one beside the file that is named like it.
        images: Folder of the photos, if they are wanted.
        categories: Classes that the file has to use; default: those that it lists.
        predicted: Whether the file holds predictions. These may repeat an image and use segment id
            0, and what they claim as areas is not read.

    Raises:
        ValueError: If the file breaks a rule of the format; the message names file, image and
            segment.
    """
    content = json_fields.load(path)
    folder = png_folder(path, pngs)
    listed = images is not None or (json_fields.has(content, "images") and not predicted)
    try:
        reader = _Reader(
            categories=_categories(content, categories),
            photos=_photos(content) if listed else None,
            pngs=folder,
            images=images,
            predicted=predicted,
        )
        annotations = json_fields.each(content, "annotations", reader.annotation)
        repeated = _first_twice(annotation.image_id for annotation in annotations)
        if repeated is not None and not predicted:
            raise ValueError(f"image {repeated!r}: is annotated twice")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return PanopticFile(path=path, categories=reader.categories, annotations=annotations)


def read_png(
    annotation: Annotation, categories: Categories, *, recount_areas: bool = False
) -> PanopticMap:
    """Read the map of one image.

    Args:
        annotation: What the JSON file says about the image.
        categories: Classes whose labels the segments get.
        recount_areas: Whether to accept a truth whose areas differ from the PNG.

    Returns:
        The map, with segments in the order of the file. A segment of a truth may own no pixel.

    Raises:
        ValueError: If the PNG can't be read or contradicts `annotation`; the message names file,
            image and segment.
    """
    infos = annotation.segments_info
    try:
        segments = tuple(_segment(info, categories) for info in infos)
        ids = read_ids(annotation.png)
        if annotation.size not in (None, ids.shape):
            raise ValueError(
                f"is {size_text(ids.shape)} pixels, but the JSON file says "
                f"{size_text(annotation.size)}"
            )
        dense, areas = renumber(ids, [info.id for info in infos])
        for info, area in zip(infos, areas.tolist(), strict=True):
            if annotation.predicted and area == 0:
                raise ValueError(f"segment {info.id}: is listed, but owns no pixel")
            if not recount_areas and info.area not in (None, area):
                raise ValueError(
                    f"segment {info.id}: has {area} pixels, but the JSON file says {info.area}"
                )
    except ValueError as error:
        raise ValueError(f"{annotation.png}: image {annotation.image_id!r}: {error}") from None
    return PanopticMap(dense, segments)


def write_png(panoptic: PanopticMap, path: Path) -> None:
    """Write a map; its own ids become the panoptic ids."""
    write_ids(panoptic.ids.view(np.uint32), path)


def segments_info(panoptic: PanopticMap, categories: Categories) -> list[dict[str, object]]:
    """Give the JSON entries of a map's segments, for the ids that `write_png` writes."""
    corners = panoptic.boxes().tolist()
    described = zip(panoptic.segments, panoptic.areas().tolist(), corners, strict=True)
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
        for number, (segment, area, (x0, y0, x1, y1)) in enumerate(described, 1)
    ]


@contextmanager
def writing(path: Path, categories: Categories, *, pngs: Path | None = None) -> Iterator["Writer"]:
    """Write maps one by one; the JSON file appears when the ``with`` block ends without error.

    Args:
        path: JSON file to write.
        categories: Classes of the maps.
        pngs: Folder of the PNGs; default: the folder beside the file that is named like it.
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
    """What `writing` gives: a JSON file under way, and the folder of its PNGs.

    Segments go to the file at once, so memory does not grow with their number.
    """

    file: TextIO
    pngs: Path
    categories: Categories
    images: dict[ImageId, dict[str, object]] = field(default_factory=dict)
    """Entries of the images written so far."""
    _names: set[str] = field(default_factory=set)

    def add(self, panoptic: PanopticMap, *, image_id: ImageId, image_name: str) -> Path:
        """Write the map of one image.

        Args:
            panoptic: The map.
            image_id: The image's id.
            image_name: Name of the photo in its folder; the PNG gets the same name, but ``.png``.

        Returns:
            The PNG.

        Raises:
            ValueError: If the id or the name of the PNG is taken.
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
        """List a map whose PNG somebody else writes, such as another process.

        Args:
            described: Its segments, as `segments_info` gives them.
            image_id: The image's id.
            image_name: As in `add`.
            size: Height and width of the map.

        Returns:
            Where the PNG belongs.

        Raises:
            ValueError: If the id or the name of the PNG is taken.
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
            raise ValueError(f"image {image_id!r}: {name} is the map of another image already")
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
        self._names.add(json_fields.text(entry, "file_name"))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reader:
    """What the entries of one file have in common."""

    categories: Categories
    photos: dict[ImageId, Entry] | None
    pngs: Path
    images: Path | None
    predicted: bool

    def annotation(self, values: Entry) -> Annotation:
        image_id = json_fields.identity(values, "image_id")
        try:
            image, size = self._photo(image_id)
            return Annotation(
                image_id=image_id,
                png=json_fields.path_in(self.pngs, values, "file_name"),
                image=image,
                size=size,
                segments_info=self._segments(values),
                predicted=self.predicted,
            )
        except ValueError as error:
            raise ValueError(f"image {image_id!r}: {error}") from None

    def _photo(self, image_id: ImageId) -> tuple[Path | None, tuple[int, int] | None]:
        if self.photos is None:
            return None, None
        photo = self.photos.get(image_id)
        if photo is None:
            raise ValueError("is not listed under 'images'")
        image = (
            None if self.images is None else json_fields.path_in(self.images, photo, "file_name")
        )
        if not (json_fields.has(photo, "height") and json_fields.has(photo, "width")):
            return image, None
        height = json_fields.integer(photo, "height", lowest=1)
        return image, (height, json_fields.integer(photo, "width", lowest=1))

    def _segments(self, values: Entry) -> tuple[SegmentInfo, ...]:
        segments = json_fields.each(values, "segments_info", self._segment)
        repeated = _first_twice(segment.id for segment in segments)
        if repeated is not None:
            raise ValueError(f"segment {repeated}: is listed twice")
        return segments

    def _segment(self, values: Entry) -> SegmentInfo:
        lowest = VOID if self.predicted else VOID + 1
        number = json_fields.integer(values, "id", lowest=lowest, highest=MAX_ID)
        try:
            category_id = json_fields.identity(values, "category_id")
            if category_id not in self.categories:
                known = f"one of the {len(self.categories)} categories"
                raise ValueError(f"'category_id' is {category_id!r}, expected {known}")
            stated = json_fields.has(values, "area") and not self.predicted
            return SegmentInfo(
                id=number,
                category_id=category_id,
                iscrowd=json_fields.has(values, "iscrowd") and json_fields.flag(values, "iscrowd"),
                area=json_fields.integer(values, "area") if stated else None,
                score=json_fields.number(values, "score")
                if json_fields.has(values, "score")
                else None,
            )
        except ValueError as error:
            raise ValueError(f"segment {number}: {error}") from None


def _categories(content: Entry, given: Categories | None) -> Categories:
    if given is None:
        return category_entries.parse(json_fields.items(content, "categories"))
    category_entries.refuse_other_names(content, given)
    return given


def _photos(content: Entry) -> dict[ImageId, Entry]:
    return dict(
        json_fields.each(
            content, "images", lambda photo: (json_fields.identity(photo, "id"), photo)
        )
    )


def _first_twice(values: Iterable[_T]) -> _T | None:
    return next((value for value, times in Counter(values).items() if times > 1), None)


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
    write_png(panoptic, folder / "panoptic" / name)
    infos = segments_info(panoptic, categories)
    return Written(lost={}, annotation={"file_name": name, "segments_info": infos})


def source(
    annotations: Path,
    *,
    pngs: Path | None = None,
    images: Path | None = None,
    recount_areas: bool = False,
) -> Source:
    """Open COCO panoptic files, which cityscapesScripts writes as well.

    Args:
        annotations: The JSON file, which has to list the images.
        pngs: Folder of the PNGs; default: the folder beside the file that is named like it.
        images: Folder of the photos, if it is known.
        recount_areas: Whether to accept areas that differ from the PNGs.

    Raises:
        ValueError: If the file breaks a rule of the format.
    """
    folder = images or Path()
    file = read_annotations(annotations, pngs=pngs, images=folder)
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
                png=annotation.png,
            )
        )
    return Source(categories=file.categories, records=tuple(records))


def instances_source(annotations: Path, *, images: Path | None = None) -> Source:
    """Open a COCO instances file: things alone, on void.

    Args:
        annotations: The JSON file.
        images: Folder of the photos, if it is known.

    Raises:
        ValueError: If the file breaks a rule of the format.
    """
    folder = images or Path()
    file = coco_instances.read_annotations(annotations, images=folder)
    records = (
        Record(
            image_id=annotation.image_id,
            name=annotation.image.relative_to(folder).as_posix(),
            image=None if images is None else annotation.image,
            size=annotation.size,
            read=partial(coco_instances.draw, annotation, file.categories),
        )
        for annotation in file.annotations
    )
    return Source(categories=file.categories, records=tuple(records))
