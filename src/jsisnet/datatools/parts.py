"""A part of a COCO data set, whose entries keep all their fields and whose maps are hard links."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from jsisnet.arrays import Bool
from jsisnet.categories import CategoryId
from jsisnet.files import atomic, json_fields
from jsisnet.files.archives import png_folder
from jsisnet.files.atomic import replacing
from jsisnet.files.json_fields import Entry
from jsisnet.files.json_stream import ByteRange, EntryReader
from jsisnet.files.links import Links
from jsisnet.formats.coco_index import LISTS, CocoIndex, Ranges, read_index
from jsisnet.panoptic import ImageId

Kind = Literal["coco", "coco-instances"]
"""Format of a data set; in "coco" an image has one annotation with a map, in "coco-instances" one
for each object."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Files:
    """Files of a data set."""

    annotations: Path
    """COCO panoptic or instances JSON file."""

    pngs: Path | None = None
    """Folder of the maps; default: the folder beside the file with the same name."""

    kind: Kind = "coco"
    """Format of the file."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Listing:
    """What the choice of a part depends on; the entries stay in the file."""

    index: CocoIndex
    names: Sequence[str]
    """Path of each photo."""
    annotations: Sequence[Ranges]
    """Where the annotations of each image are."""
    presence: Bool[np.ndarray, "n k"]
    """Which image has which class."""
    classes: Sequence[str]
    """Names of the classes."""


@dataclass(kw_only=True)
class _FileReader:
    """Checks of the entries of one file, and what of them stays in memory."""

    kind: Kind
    names: dict[ImageId, str] = field(default_factory=dict)
    """Photo of each image."""
    categories: dict[CategoryId, int] = field(default_factory=dict)
    """Number of each category's bit, in order of first use."""
    first: dict[CategoryId, ImageId] = field(default_factory=dict)
    """First image of each category."""
    used: dict[ImageId, int] = field(default_factory=dict)
    """For each image a bit for each category that it has."""

    def image(self, entry: Entry) -> ImageId:
        image_id = json_fields.identity(entry, "id")
        name = json_fields.string(entry, "file_name")
        if image_id in self.names:
            raise ValueError(f"image {image_id!r}: listed twice")
        self.names[image_id] = name
        return image_id

    def annotation(self, entry: Entry) -> ImageId:
        image_id = json_fields.identity(entry, "image_id")
        if self.kind == "coco":
            if image_id in self.used:
                raise ValueError(f"image {image_id!r}: two annotations")
            json_fields.path_in(Path(), entry, "file_name")
            found: Iterable[CategoryId] = json_fields.each(entry, "segments_info", _category)
        else:
            found = (_category(entry),)
        bits = self.used.get(image_id, 0)
        for category_id in found:
            self.first.setdefault(category_id, image_id)
            bits |= 1 << self.categories.setdefault(category_id, len(self.categories))
        self.used[image_id] = bits
        return image_id

    def presence(self, classes: Mapping[CategoryId, str]) -> Bool[np.ndarray, "n k"]:
        """Return which image has which class."""
        for image_id in self.used:
            if image_id not in self.names:
                raise ValueError(f"image {image_id!r}: annotated, but not listed")
        for category_id, image_id in self.first.items():
            if category_id not in classes:
                known = f"expected one of the {len(classes)} categories"
                raise ValueError(f"image {image_id!r}: 'category_id' is {category_id!r}; {known}")
        numbers = {category_id: column for column, category_id in enumerate(classes)}
        presence = np.zeros((len(self.names), len(classes)), bool)
        for category_id, bit in self.categories.items():
            column = numbers[category_id]
            presence[:, column] = [self.used.get(each, 0) >> bit & 1 for each in self.names]
        return presence


def read_listing(path: Path, kind: Kind) -> Listing:
    """Read and check a file.

    Raises:
        ValueError: If the file is invalid or lists no images.
    """
    reader = _FileReader(kind=kind)
    index = read_index(path, check_image=reader.image, check_annotation=reader.annotation)
    try:
        for name in LISTS:
            json_fields.items(index.fields, name)
        classes = dict(json_fields.each(index.fields, "categories", _class))
        presence = reader.presence(classes)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if not reader.names:
        raise ValueError(f"{path}: no images are listed")
    return Listing(
        index=index,
        names=tuple(reader.names.values()),
        annotations=index.annotations.ranges_by_image(reader.names),
        presence=presence,
        classes=tuple(classes.values()),
    )


def _category(entry: Entry) -> CategoryId:
    return json_fields.identity(entry, "category_id")


def _class(entry: Entry) -> tuple[CategoryId, str]:
    return json_fields.identity(entry, "id"), json_fields.string(entry, "name")


def folder_of_pngs(files: Files) -> Path:
    """Return the folder of a data set's maps.

    Raises:
        ValueError: If the maps are in a zip.
    """
    if files.kind == "coco-instances":
        return Path()  # there are none
    pngs = png_folder(files.annotations, files.pngs)
    if not pngs.is_dir():
        raise ValueError(f"{pngs}: unpack the zip first, because the parts link to its files")
    return pngs


def link_maps(
    listing: Listing,
    pngs: Path,
    folders: Mapping[int, Path],
    on_map: Callable[[int, int], None] = lambda *_: None,
) -> None:
    """Link the maps of images into their folders.

    Args:
        listing: The data set.
        pngs: Folder of its maps.
        folders: New folder of each image's map, by the image's position in the file.
        on_map: Called with the number of maps done and the total.

    Raises:
        ValueError: If a map is missing.
    """
    for folder in set(folders.values()):
        folder.mkdir(parents=True, exist_ok=True)
    links = Links(pngs)
    with EntryReader(listing.index.path) as reader:
        for done, (number, folder) in enumerate(folders.items(), 1):
            for entry in _entries(reader, listing.annotations[number]):
                png = json_fields.path_in(pngs, entry, "file_name")
                copy = json_fields.path_in(folder, entry, "file_name")
                if not png.is_file():
                    raise ValueError(f"image {entry['image_id']!r}: its map {png} does not exist")
                links.refuse(png)
                link_or_copy(png, copy)
            on_map(done, len(folders))


def link_or_copy(file: Path, copy: Path) -> None:
    """Link or copy a file, unless it is there already and has not changed since."""
    # A link to a symbolic link would lead elsewhere from its new place.
    original = file.resolve()
    copy.parent.mkdir(parents=True, exist_ok=True)
    if copy.exists():
        before, now = copy.stat(), original.stat()
        if os.path.samestat(before, now) or _version(before) == _version(now):
            return
    else:
        with suppress(OSError):
            os.link(original, copy)
            return
    with replacing(copy) as temporary:
        shutil.copy2(original, temporary)


def _version(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns


def write_part(images: Sequence[tuple[Listing, int]], path: Path) -> None:
    """Write the JSON file of a part.

    Args:
        images: For each image its data set and its position there, in the order to write them; the
            data sets have the same classes.
        path: File to write.
    """
    index = images[0][0].index
    with ExitStack() as stack:
        files = {listing.index.path for listing, _ in images}
        readers = {file: stack.enter_context(EntryReader(file)) for file in files}
        lists: dict[str, Iterator[Entry]] = {
            "images": (
                entry
                for listing, i in images
                for entry in _entries(
                    readers[listing.index.path], listing.index.images.ranges[i : i + 1]
                )
            ),
            "annotations": (
                entry
                for listing, i in images
                for entry in _entries(readers[listing.index.path], listing.annotations[i])
            ),
        }
        fields = {key: value for key, value in index.fields.items() if key not in LISTS}
        atomic.write_json(path, fields, lists)


def _entries(reader: EntryReader, ranges: Ranges) -> Iterator[Entry]:
    return (reader.read(ByteRange(start, stop)) for start, stop in ranges.tolist())
