"""What a COCO file lists, as far as it matters to who splits it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from jsisnet.categories import CategoryId
from jsisnet.files import json_fields
from jsisnet.files.json_fields import Entry
from jsisnet.files.json_stream import Place, scan
from jsisnet.panoptic import ImageId

Kind = Literal["coco", "coco-instances"]
"""Whether an image has one annotation with a map, or one for each object."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Annotation:
    """What stays with its image."""

    place: Place
    """Its entry."""

    categories: tuple[CategoryId, ...]
    """Classes of its segments, each once."""

    png: str | None
    """Path of its map inside the folder of the maps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """An image."""

    image_id: ImageId
    name: str
    """Path of the photo."""

    place: Place
    """Its entry."""

    annotations: tuple[Annotation, ...]
    """In the order of the file; possibly none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """A file; of its images only what is needed stays in memory."""

    path: Path
    images: tuple[Image, ...]
    """In the order of the file."""

    classes: Mapping[CategoryId, str]
    """Names by ids."""

    rest: Entry
    """Fields other than images and annotations."""


def read(path: Path, kind: Kind) -> Listing:
    """Read a file.

    Raises:
        ValueError: If an entry lacks what the parts depend on, or names an image or a class that
            is not there, or is there twice; the message names the file.
    """
    reader = _Reader(kind=kind)
    rest = scan(path, {"images": reader.image, "annotations": reader.annotation})
    try:
        for name in ("images", "annotations"):
            json_fields.items(rest, name)
        classes = dict(json_fields.each(rest, "categories", _class))
        images = reader.images(classes)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if not images:
        raise ValueError(f"{path}: lists no images")
    others = {key: value for key, value in rest.items() if key not in ("images", "annotations")}
    return Listing(path=path, images=images, classes=classes, rest=others)


@dataclass(kw_only=True)
class _Reader:
    """Lists under way."""

    kind: Kind
    photos: dict[ImageId, tuple[str, Place]] = field(default_factory=dict)
    annotations: dict[ImageId, list[Annotation]] = field(default_factory=dict)
    count: int = 0

    def image(self, value: object, place: Place) -> None:
        try:
            entry = json_fields.entry(value)
            image_id = json_fields.identity(entry, "id")
            name = json_fields.text(entry, "file_name")
        except ValueError as error:
            raise ValueError(f"images[{len(self.photos)}]: {error}") from None
        if image_id in self.photos:
            raise ValueError(f"image {image_id!r}: is listed twice")
        self.photos[image_id] = name, place

    def annotation(self, value: object, place: Place) -> None:
        try:
            entry = json_fields.entry(value)
            image_id = json_fields.identity(entry, "image_id")
            annotation = self._annotation(entry, place)
        except ValueError as error:
            raise ValueError(f"annotations[{self.count}]: {error}") from None
        self.count += 1
        own = self.annotations.setdefault(image_id, [])
        if own and self.kind == "coco":
            raise ValueError(f"image {image_id!r}: is annotated twice")
        own.append(annotation)

    def images(self, classes: Iterable[CategoryId]) -> tuple[Image, ...]:
        known = set(classes)
        for image_id, annotations in self.annotations.items():
            if image_id not in self.photos:
                raise ValueError(f"image {image_id!r}: is annotated, but not listed")
            for category_id in (each for one in annotations for each in one.categories):
                if category_id not in known:
                    raise ValueError(
                        f"image {image_id!r}: 'category_id' is {category_id!r}, expected one of "
                        f"the {len(known)} categories"
                    )
        return tuple(
            Image(
                image_id=image_id,
                name=name,
                place=place,
                annotations=tuple(self.annotations.get(image_id, ())),
            )
            for image_id, (name, place) in self.photos.items()
        )

    def _annotation(self, entry: Entry, place: Place) -> Annotation:
        if self.kind == "coco-instances":
            return Annotation(place=place, categories=(_category(entry),), png=None)
        found = json_fields.each(entry, "segments_info", _category)
        json_fields.path_in(Path(), entry, "file_name")
        png = json_fields.text(entry, "file_name")
        return Annotation(place=place, categories=tuple(dict.fromkeys(found)), png=png)


def _category(entry: Entry) -> CategoryId:
    return json_fields.identity(entry, "category_id")


def _class(entry: Entry) -> tuple[CategoryId, str]:
    return json_fields.identity(entry, "id"), json_fields.text(entry, "name")
