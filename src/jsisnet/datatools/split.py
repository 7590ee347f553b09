"""A COCO data set as several ones, each of which can be used by itself."""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from jsisnet.datatools.listing import Image, Kind, Listing, read
from jsisnet.datatools.stratify import stratified
from jsisnet.files import journal, json_fields
from jsisnet.files.archives import pngs_of
from jsisnet.files.atomic import remove_leftovers, replacing
from jsisnet.files.json_fields import Entry
from jsisnet.files.json_stream import Objects
from jsisnet.formats import json_file
from jsisnet.splitting.shares import Share, sizes

_JOURNAL = "unfinished.jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class Files:
    """Where a data set is."""

    annotations: Path
    """COCO panoptic or instances JSON file."""

    pngs: Path | None = None
    """Folder of the maps; default: the folder beside the file that is named like it."""

    kind: Kind = "coco"
    """Which of the two formats it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """What decides where an image goes."""

    shares: tuple[Share, ...]
    """The parts."""

    seed: int = 0
    """Of the order among equals; at least 0."""

    group: str | None = None
    """Regular expression for the whole name of a photo; those with the same texts in its brackets
    stay together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """What a part has got."""

    name: str
    images: int
    annotations: int
    missing: tuple[str, ...]
    """Names of the classes that other parts have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """What has become of a data set."""

    parts: tuple[Part, ...]
    groups: int
    """How many there are, with those of a single photo."""

    unseen: tuple[str, ...]
    """Names of the classes that no part has."""


def split(
    files: Files, out: Path, way: Way, *, on_map: Callable[[int, int], None] = lambda *_: None
) -> Split:
    """Write each part of a data set: a JSON file, and the folder of its maps.

    Maps are linked where the system can do that, and copied elsewhere. Entries keep all their
    fields. A run that was stopped or killed goes on when it is repeated.

    Args:
        files: What to split.
        out: New folder.
        way: Where images go.
        on_map: Is told the numbers of maps done and in total.

    Raises:
        ValueError: If the file is damaged, a map is missing, a part would be empty, or the folder
            holds anything else.
    """
    journal.refuse_other_files(out / _JOURNAL)
    listing = read(files.annotations, files.kind)
    pngs = _folder_of_pngs(files)
    wanted = sizes(way.shares, len(listing.images))
    units = _units(listing.images, way.group)
    if units.max() + 1 < len(wanted):
        raise ValueError(
            f"{len(wanted)} parts can't be made of {units.max() + 1} images or groups that stay "
            "together"
        )
    presence = _presence(listing)
    parts = _parts(presence, units, wanted, way.seed)
    with journal.opened(out / _JOURNAL, _purpose(files, way)) as notes:
        for left in {path.parent for path in out.rglob(".*.part")}:
            remove_leftovers(left)
        if files.kind == "coco":
            _link(listing, pngs, [out / way.shares[part].name for part in parts], on_map)
        for number, share in enumerate(way.shares):
            own = [listing.images[i] for i in np.flatnonzero(parts == number).tolist()]
            _write(listing, own, out / f"{share.name}.json")
    notes.path.unlink()
    return _described(listing, presence, units, parts, way.shares)


def _folder_of_pngs(files: Files) -> Path:
    if files.kind == "coco-instances":
        return Path()  # there are none
    pngs = pngs_of(files.annotations, files.pngs)
    if not pngs.is_dir():
        raise ValueError(f"{pngs}: is a zip; expected it unpacked, as the parts have its files")
    return pngs


def _units(images: Sequence[Image], group: str | None) -> Int64[np.ndarray, " n"]:
    """Give the number of each image's group; one without a group is one by itself."""
    if group is None:
        return np.arange(len(images))
    try:
        pattern = re.compile(group)
    except re.error as error:
        raise ValueError(f"the group {group!r} is no regular expression: {error}") from None
    if not pattern.groups:
        raise ValueError(f"the group {group!r} has no brackets around what images share")
    matches = [pattern.fullmatch(image.name) for image in images]
    if not any(matches):
        raise ValueError(f"the group {group!r} fits no photo; one is {images[0].name!r}")
    numbers: dict[object, int] = {}
    return np.array(
        [
            numbers.setdefault(i if match is None else match.groups(), len(numbers))
            for i, match in enumerate(matches)
        ]
    )


def _presence(listing: Listing) -> np.ndarray:
    """Tell which image has which class."""
    columns = {category_id: column for column, category_id in enumerate(listing.classes)}
    presence = np.zeros((len(listing.images), len(columns)), bool)
    for row, image in enumerate(listing.images):
        for annotation in image.annotations:
            for category_id in annotation.categories:
                presence[row, columns[category_id]] = True
    return presence


def _parts(
    presence: np.ndarray, units: Int64[np.ndarray, " n"], wanted: tuple[int, ...], seed: int
) -> Int64[np.ndarray, " n"]:
    classes = np.zeros((int(units.max()) + 1, presence.shape[1]), np.int32)
    np.add.at(classes, units, presence)
    return stratified(classes, np.bincount(units), np.array(wanted), seed)[units]


def _purpose(files: Files, way: Way) -> str:
    """Give a text that differs for other files or parts."""
    status = files.annotations.stat()
    described = files, way, status.st_size, status.st_mtime_ns
    return sha256(repr(described).encode()).hexdigest()


def _link(
    listing: Listing,
    pngs: Path,
    folders: Sequence[Path],
    on_map: Callable[[int, int], None],
) -> None:
    """Put the map of each image into its folder."""
    for folder in set(folders):
        folder.mkdir(parents=True, exist_ok=True)
    for done, (image, folder) in enumerate(zip(listing.images, folders, strict=True), 1):
        for annotation in image.annotations:
            entry = {"file_name": annotation.png}
            png = json_fields.path_in(pngs, entry, "file_name")
            copy = json_fields.path_in(folder, entry, "file_name")
            if not png.is_file():
                raise ValueError(f"image {image.image_id!r}: its map {png} does not exist")
            if not copy.exists():
                _link_or_copy(png, copy)
        on_map(done, len(folders))


def _link_or_copy(png: Path, copy: Path) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    try:
        # A link to a symbolic link would lead elsewhere from its new place.
        os.link(png.resolve(), copy)
    except OSError:
        with replacing(copy) as temporary:
            shutil.copyfile(png, temporary)


def _write(listing: Listing, images: Sequence[Image], path: Path) -> None:
    with Objects(listing.path) as objects:
        lists: dict[str, Iterator[Entry]] = {
            "images": (objects.read(image.place) for image in images),
            "annotations": (
                objects.read(annotation.place)
                for image in images
                for annotation in image.annotations
            ),
        }
        json_file.write(path, listing.rest, lists)


def _described(
    listing: Listing,
    presence: np.ndarray,
    units: Int64[np.ndarray, " n"],
    parts: Int64[np.ndarray, " n"],
    shares: Sequence[Share],
) -> Split:
    names = list(listing.classes.values())
    anywhere = presence.any(0)
    found = []
    for number, share in enumerate(shares):
        own = np.flatnonzero(parts == number).tolist()
        lacking = np.flatnonzero(anywhere & ~presence[own].any(0))
        found.append(
            Part(
                name=share.name,
                images=len(own),
                annotations=sum(len(listing.images[i].annotations) for i in own),
                missing=tuple(names[column] for column in lacking.tolist()),
            )
        )
    return Split(
        parts=tuple(found),
        groups=int(units.max()) + 1,
        unseen=tuple(names[column] for column in np.flatnonzero(~anywhere).tolist()),
    )
