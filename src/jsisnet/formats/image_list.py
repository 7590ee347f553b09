"""Lists of images that want a prediction: COCO files with images and categories."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from jsisnet.categories import Categories, Category
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


def read_listing(path: Path) -> MapListing:
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


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedImage:
    """An image that wants a prediction."""

    name: str
    """Path of the photo inside the folder of photos."""

    size: tuple[int, int]
    """Height and width in pixels."""

    @property
    def png(self) -> str:
        """Path of the map inside the folder of maps: that of the photo, but ``.png``."""
        return Path(self.name).with_suffix(".png").as_posix()


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageList:
    """All images that want a prediction, and the classes to use for them."""

    path: Path
    """File of the images."""

    images: Mapping[ImageId, ListedImage]
    """By their ids, in the order of the file."""

    categories: Categories
    """A class counts as a thing where the file does not say what it is."""

    def in_its_ids(self, categories: Categories) -> Categories:
        """Give a model's classes the ids that the classes of these names have in the list.

        Raises:
            ValueError: If a class has no counterpart, or is one of several that were merged.
        """
        listed = {category.name: category for category in self.categories}
        return Categories(
            tuple(replace(c, id=self._counterpart(c, listed).id) for c in categories),
        )

    def _counterpart(self, category: Category, listed: Mapping[str, Category]) -> Category:
        names = category.members or (category.name,)
        alike = listed.get(category.name)
        if alike is not None and alike.members == category.members:
            names = (category.name,)
        if len(names) > 1:
            raise ValueError(
                f"the model's class {category.name!r} stands for {len(names)} classes, such as "
                f"{names[0]!r} and {names[1]!r}, which its maps don't tell apart; expected a model "
                f"trained on the classes of {self.path}"
            )
        if names[0] not in listed:
            raise ValueError(
                f"the model's class {names[0]!r} is none of the {len(listed)} categories for "
                f"{self.path}; expected a model trained on them, or another file of categories"
            )
        found = listed[names[0]]
        if category.isthing and not found.isthing:
            raise ValueError(
                f"the model's class {names[0]!r} is a thing, but stuff among the categories for "
                f"{self.path}"
            )
        return found


def read(path: Path, categories: Path | None = None) -> ImageList:
    """Read a list of images; what else the file holds, annotations included, counts for nothing.

    Args:
        path: COCO file with ``images``, such as ``image_info_test-dev2017.json``.
        categories: COCO file with the ``categories``, if not those of `path` are meant. They may
            lack ``isthing``.

    Raises:
        ValueError: If a file breaks a rule of the format, or the maps of two images would get the
            same name. The message names the file.
    """
    content = json_fields.load(path)
    try:
        images: dict[ImageId, ListedImage] = {}
        json_fields.each(content, "images", partial(_add, images))
        _refuse_shared_names(images)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    source = content if categories is None else json_fields.load(categories)
    try:
        classes = _categories(source)
    except ValueError as error:
        raise ValueError(f"{categories or path}: {error}") from None
    return ImageList(path=path, images=images, categories=classes)


def _add(images: dict[ImageId, ListedImage], values: Entry) -> None:
    number = json_fields.identity(values, "id")
    if number in images:
        raise ValueError(f"image {number!r}: is listed twice")
    try:
        name = json_fields.path_in(Path(), values, "file_name").as_posix()
        height = json_fields.integer(values, "height", lowest=1)
        size = (height, json_fields.integer(values, "width", lowest=1))
    except ValueError as error:
        raise ValueError(f"image {number!r}: {error}") from None
    images[number] = ListedImage(name=name, size=size)


def _refuse_shared_names(images: Mapping[ImageId, ListedImage]) -> None:
    owners: dict[str, ImageId] = {}
    for number, image in images.items():
        first = owners.setdefault(image.png, number)
        if first != number:
            raise ValueError(f"images {first!r} and {number!r} would both have the map {image.png}")


def _categories(content: Entry) -> Categories:
    entries = [json_fields.entry(value) for value in json_fields.items(content, "categories")]
    return category_entries.parse([{"isthing": 1, **entry} for entry in entries])
