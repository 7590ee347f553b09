"""Index of a folder of maps: a JSON file that lists classes, and optionally images."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from jsisnet.categories import Categories
from jsisnet.files import json_fields, json_stream
from jsisnet.files.archives import StoredFile, files_below
from jsisnet.files.json_fields import Entry
from jsisnet.files.photo_folder import PhotoFolder, relative_name
from jsisnet.formats import categories_json
from jsisnet.formats.records import Record, Source
from jsisnet.panoptic import ImageId, PanopticMap

SUFFIXES = (".jpg", ".jpeg", ".png")
"""Suffixes of photos, in the order in which they are tried."""

_PHOTO_ENDING = "_leftImg8bit"
"""Ending of the names of Cityscapes photos, which their maps do not have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Photo:
    """Id and name of a photo."""

    image_id: ImageId
    name: str
    """Path of the photo inside its folder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MapIndex:
    """Classes of the maps, and the photos that belong to them."""

    path: Path
    """The JSON file."""

    categories: Categories
    photos: Mapping[str, Photo]
    """Photos by `map_stem`; empty if the file lists no images."""

    def source(
        self,
        maps: Mapping[str, tuple[StoredFile, ...]],
        read: Callable[..., PanopticMap],
        images: Path | None,
    ) -> Source:
        """Return the source of some maps.

        Args:
            maps: Files of each map, by their common path. A photo is the listed one, or else the
                one with the same path.
            read: Reads a map from its files.
            images: Folder of the photos, if known.

        Raises:
            ValueError: If a photo is neither listed nor in its folder.
        """
        folder = PhotoFolder(images)
        listed = self.located(folder)
        records = []
        for path, files in maps.items():
            stem = path.removesuffix(".png")
            photo = listed.get(stem) or Photo(image_id=stem, name=_find(stem, images))
            records.append(record(photo, folder, partial(read, *files), *files))
        return Source(
            categories=self.categories,
            records=tuple(records),
            warnings=(*folder.warnings(len(listed)), *describe_unmapped(listed, maps)),
        )

    def located(self, folder: PhotoFolder) -> Mapping[str, Photo]:
        """Return `photos` with the paths that they have in their folder.

        Raises:
            ValueError: If several photos could be meant by a name; the message names the file.
        """
        if folder.root is None:
            return self.photos
        found = {}
        for photo in self.photos.values():
            try:
                path = folder.find(photo.name).path
            except ValueError as error:
                raise ValueError(f"{self.path}: image {photo.image_id!r}: {error}") from None
            name = path.relative_to(folder.root).as_posix()
            found[map_stem(name)] = replace(photo, name=name)
        return found


def read_index(path: Path) -> MapIndex:
    """Read a JSON file with ``categories`` and optionally ``images``.

    Raises:
        ValueError: If the file is invalid, or two photos would have the same map.
    """
    content = json_stream.load_without(path, ("annotations",))
    try:
        photos: dict[str, Photo] = {}
        if json_fields.has(content, "images"):
            for photo in json_fields.each(content, "images", _parse_photo):
                other = photos.setdefault(map_stem(photo.name), photo)
                if other is not photo:
                    raise ValueError(
                        f"images {other.image_id!r} and {photo.image_id!r} would share a map"
                    )
        categories = categories_json.parse(json_fields.items(content, "categories"), path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return MapIndex(path=path, categories=categories, photos=photos)


def describe_unmapped(photos: Mapping[str, Photo], maps: Collection[str]) -> Iterator[str]:
    """Describe the listed photos that have no map and are left out.

    Args:
        photos: Photos by `map_stem`.
        maps: Paths of the maps, with or without the suffix.
    """
    stems = {path.removesuffix(".png") for path in maps}
    without = [photo.name for stem, photo in photos.items() if stem not in stems]
    if without:
        yield f"{len(without):,} of {len(photos):,} listed images have no map, such as {without[0]}"


def find_maps(root: Path, folder: str = "", ending: str = ".png") -> dict[str, StoredFile]:
    """List the maps in a folder or zip by their paths; see `files_below`.

    Raises:
        ValueError: If there are none.
    """
    files = files_below(root, folder, ending)
    if not files:
        raise ValueError(f"{root}: no files {'/'.join(filter(None, (folder, f'*{ending}')))}")
    return files


def record(
    photo: Photo, folder: PhotoFolder, read: Callable[[], PanopticMap], *maps: StoredFile
) -> Record:
    """Return the record of a photo whose map is a file of unknown size.

    Raises:
        ValueError: If the photo is a link that leads out of its folder.
    """
    image = None if folder.root is None else folder.root / photo.name
    if image is not None:
        folder.links.refuse(image)
    return Record(
        image_id=photo.image_id,
        name=photo.name,
        image=image,
        size=None,
        read=read,
        maps=maps,
    )


def map_stem(name: str) -> str:
    """Return the path of a photo's map, without suffix.

    >>> map_stem("ulm/ulm_000001_000019_leftImg8bit.png")
    'ulm/ulm_000001_000019'
    """
    return str(PurePosixPath(name).with_suffix("")).removesuffix(_PHOTO_ENDING)


def _parse_photo(values: Entry) -> Photo:
    name = relative_name(json_fields.string(values, "file_name"))
    return Photo(image_id=json_fields.identity(values, "id"), name=name)


def _find(stem: str, images: Path | None) -> str:
    if images is None:
        return f"{stem}{SUFFIXES[0]}"
    for suffix in SUFFIXES:
        if (images / f"{stem}{suffix}").is_file():
            return f"{stem}{suffix}"
    raise ValueError(f"{images}: no photo {stem} with the suffix {', '.join(SUFFIXES)}")
