"""Images to predict: a COCO file with images and categories, such as those of the test sets."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from jsisnet.categories import Categories, Category
from jsisnet.files import json_fields, json_stream
from jsisnet.files.json_fields import Entry
from jsisnet.files.photo_folder import relative_name
from jsisnet.formats import categories_json
from jsisnet.panoptic import ImageId


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedImage:
    """An image to predict."""

    name: str
    """Path of the photo inside the folder of photos."""

    size: tuple[int, int]
    """Height and width in pixels."""

    @property
    def png(self) -> str:
        """Path of the map inside the folder of maps: that of the photo, with ``.png``."""
        return Path(self.name).with_suffix(".png").as_posix()


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageList:
    """Images to predict, and the classes to use."""

    path: Path
    """The COCO file."""

    images: Mapping[ImageId, ListedImage]
    """Images by id, in the order of the file."""

    categories: Categories
    """Classes; one without ``isthing`` in the file counts as a thing."""

    def with_listed_ids(self, categories: Categories) -> Categories:
        """Return a model's classes with the ids of the listed classes of the same names.

        Raises:
            ValueError: If a class is not listed, or was merged from several classes.
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
                f"the model's class {category.name!r} was merged from {len(names)} classes, such "
                f"as {names[0]!r} and {names[1]!r}; expected a model trained on the classes of "
                f"{self.path}"
            )
        if names[0] not in listed:
            raise ValueError(
                f"the model's class {names[0]!r} is not one of the {len(listed)} categories for "
                f"{self.path}; expected a model trained on these, or another categories file"
            )
        found = listed[names[0]]
        if category.isthing and not found.isthing:
            raise ValueError(
                f"the class {names[0]!r} is a thing in the model, but stuff in the categories for "
                f"{self.path}"
            )
        return found


def read(path: Path, categories: Path | None = None) -> ImageList:
    """Read a list of images; annotations in the file are ignored.

    Args:
        path: COCO file with ``images``, such as ``image_info_test-dev2017.json``.
        categories: COCO file with the ``categories``, which may lack ``isthing``; default: `path`.

    Raises:
        ValueError: If a file is invalid, or the maps of two images would have the same name. The
            message names the file.
    """
    content = json_stream.load_without(path, ("annotations",))
    try:
        images: dict[ImageId, ListedImage] = {}
        json_fields.each(content, "images", partial(_add, images))
        _refuse_shared_names(images)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    source = (
        content
        if categories is None
        else json_stream.load_without(categories, ("images", "annotations"))
    )
    try:
        classes = _categories(source, categories or path)
    except ValueError as error:
        raise ValueError(f"{categories or path}: {error}") from None
    return ImageList(path=path, images=images, categories=classes)


def _add(images: dict[ImageId, ListedImage], values: Entry) -> None:
    number = json_fields.identity(values, "id")
    if number in images:
        raise ValueError(f"duplicate image id {number!r}")
    try:
        name = relative_name(json_fields.string(values, "file_name"))
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
            raise ValueError(f"images {first!r} and {number!r} would share the map {image.png}")


def _categories(content: Entry, path: Path) -> Categories:
    entries = [json_fields.entry(value) for value in json_fields.items(content, "categories")]
    return categories_json.parse([{"isthing": 1, **entry} for entry in entries], path)
