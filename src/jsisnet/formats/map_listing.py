"""What PNGs alone don't say, from a COCO-like JSON file: classes, and ids and names of images."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from jsisnet.categories import Categories
from jsisnet.files import json_fields
from jsisnet.files.json_fields import Entry
from jsisnet.formats import categories_json as category_entries
from jsisnet.formats.records import Record
from jsisnet.panoptic import ImageId, PanopticMap

SUFFIXES = (".jpg", ".jpeg", ".png")
"""Of photos, in the order in which they are looked for."""

_OF_PHOTOS = "_leftImg8bit"
"""Ending that Cityscapes' photos have and their maps lack."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedPhoto:
    """What the file says about an image."""

    image_id: ImageId
    name: str
    """Path of the photo inside its folder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MapListing:
    """What the file says."""

    path: Path
    categories: Categories
    images: Mapping[str, ListedPhoto]
    """By `stem`; empty if the file lists none."""

    def record(self, stem: str, photos: Path | None, read: Callable[[], PanopticMap]) -> Record:
        """Describe the image of a map.

        Args:
            stem: Path of the map without its ending. The photo is the listed one, or else has the
                same path.
            photos: Folder of the photos, if it is known.
            read: Reads the map.

        Raises:
            ValueError: If the photo is not listed, and not in its folder either.
        """
        listed = self.images.get(stem) or ListedPhoto(image_id=stem, name=_found(stem, photos))
        return Record(
            image_id=listed.image_id,
            name=listed.name,
            image=None if photos is None else photos / listed.name,
            size=None,
            read=read,
        )


def read(path: Path) -> MapListing:
    """Read a file with ``categories`` and perhaps ``images``, such as any COCO panoptic file.

    Raises:
        ValueError: If the file breaks a rule, or two photos would have the same map.
    """
    content = json_fields.load(path)
    try:
        images: dict[str, ListedPhoto] = {}
        for photo in (
            json_fields.each(content, "images", _photo)
            if json_fields.has(content, "images")
            else ()
        ):
            other = images.setdefault(stem(photo.name), photo)
            if other is not photo:
                raise ValueError(
                    f"images {other.image_id!r} and {photo.image_id!r} would share a map"
                )
        categories = category_entries.parse(json_fields.items(content, "categories"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return MapListing(path=path, categories=categories, images=images)


def stem(name: str) -> str:
    """Give the path of a photo's map, without its ending."""
    return str(PurePosixPath(name).with_suffix("")).removesuffix(_OF_PHOTOS)


def _photo(values: Entry) -> ListedPhoto:
    name = json_fields.path_in(Path(), values, "file_name").as_posix()
    return ListedPhoto(image_id=json_fields.identity(values, "id"), name=name)


def _found(stem: str, photos: Path | None) -> str:
    if photos is None:
        return f"{stem}{SUFFIXES[0]}"
    for suffix in SUFFIXES:
        if (photos / f"{stem}{suffix}").is_file():
            return f"{stem}{suffix}"
    raise ValueError(f"{photos}: has no photo {stem} with the ending {', '.join(SUFFIXES)}")
