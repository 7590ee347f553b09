"""Images to predict: a COCO file with images and categories, such as those of the test sets."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from jsisnet.categories import Categories, Category
from jsisnet.files import json_fields, json_stream
from jsisnet.files.atomic import write_json
from jsisnet.files.json_fields import Entry
from jsisnet.files.links import Links
from jsisnet.files.photo_folder import relative_name
from jsisnet.files.photos import has_photo_suffix, read_header
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


def of_folder(
    folder: Path, *, on_image: Callable[[int, int], object] = lambda *_: None
) -> dict[ImageId, ListedImage]:
    """List the photos of a folder and its subfolders with their sizes, in the order of their names.

    Args:
        folder: The folder.
        on_image: Called after each photo with the number of photos done and the total.

    Returns:
        The photos by id: the path without suffix, or its number if all paths are numbers.

    Raises:
        ValueError: If there is no photo, a photo is damaged, the maps of two photos would have the
            same name, or a link leads out of the folder.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: not a folder; expected the folder of the photos")
    names = sorted(Links(folder).files(iswanted=lambda name: has_photo_suffix(Path(name))))
    if not names:
        raise ValueError(f"{folder}: contains no photo")
    stems = [PurePosixPath(name).with_suffix("").as_posix() for name in names]
    numbered = all(stem.isascii() and stem.isdecimal() for stem in stems)
    ids = [int(stem) if numbered else stem for stem in stems]
    owners: dict[ImageId, str] = {}
    for number, name in zip(ids, names, strict=True):
        first = owners.setdefault(number, name)
        if first != name:
            raise ValueError(f"{folder}: {first} and {name} would share a map; rename one of them")
    images: dict[ImageId, ListedImage] = {}
    for done, (number, name) in enumerate(owners.items(), 1):
        header = read_header(folder / name)
        if header is None:
            raise ValueError(f"{folder / name}: can't be read as an image")
        images[number] = ListedImage(name=name, size=header.size)
        on_image(done, len(names))
    return images


def write(path: Path, images: Mapping[ImageId, ListedImage], categories: Categories) -> None:
    """Write a list that `read` reads.

    Args:
        path: JSON file to write.
        images: Images by id.
        categories: The classes.
    """
    entries = (
        {"id": number, "file_name": image.name, "height": image.size[0], "width": image.size[1]}
        for number, image in images.items()
    )
    write_json(path, {}, {"images": entries, "categories": categories_json.entries(categories)})


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
