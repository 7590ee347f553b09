"""A COCO data set as several ones, each of which can be used by itself."""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256
from pathlib import Path

import numpy as np

from jsisnet.arrays import Int64
from jsisnet.datatools.listing import Image, Kind, Listing, read
from jsisnet.datatools.stratify import stratified
from jsisnet.files import atomic, journal, json_fields
from jsisnet.files.archives import png_folder
from jsisnet.files.atomic import remove_leftovers, replacing
from jsisnet.files.json_fields import Entry
from jsisnet.files.json_stream import Objects

_NAME = re.compile(r"\w[\w-]{0,49}")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)
"""Names that no file can have on Windows."""

_FRACTION = re.compile(r"\d{0,9}\.\d{1,9}|\d{1,9}/\d{1,9}", re.ASCII)
_COUNT = re.compile(r"\d{1,9}", re.ASCII)

REST = "rest"
"""The share that takes what the others leave."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """What one part gets."""

    name: str
    """Of the part, and of its file and folder."""

    amount: Fraction | int | None
    """Part of the whole, or images; ``None`` for what the others leave."""


def parsed(texts: Sequence[str]) -> tuple[Share, ...]:
    """Read shares such as ``train=0.8``, ``val=500`` or ``test=rest``.

    Raises:
        ValueError: If a text is no share, a name can't be that of a file or occurs twice, there are
            both fractions and counts, or the fractions don't add up to 1.
    """
    shares = tuple(map(_share, texts))
    if not shares:
        raise ValueError("there are no parts; expected some, such as train=0.8 val=0.2")
    names: set[str] = set()
    for share in shares:
        if share.name.casefold() in names:
            raise ValueError(f"the part {share.name!r} is there twice")
        names.add(share.name.casefold())
    amounts = [share.amount for share in shares if share.amount is not None]
    if len(shares) - len(amounts) > 1:
        raise ValueError(f"two parts are to get the {REST}; expected one")
    if len({type(amount) for amount in amounts}) > 1:
        raise ValueError("there are both fractions and counts of images; expected one of them")
    if not isinstance(next(iter(amounts), 0), int):
        _refuse_other_sum(Fraction(sum(amounts)), rest=len(amounts) < len(shares))
    return shares


def sizes(shares: Sequence[Share], images: int) -> tuple[int, ...]:
    """Give the number of images of each part.

    Fractions of images go to the parts that lose most by rounding down.

    Raises:
        ValueError: If a part would get no image, or counts don't add up to all images.
    """
    given = sum(share.amount for share in shares if share.amount is not None)
    if isinstance(given, int):
        left = images - given
        counts = [left if share.amount is None else int(share.amount) for share in shares]
    else:
        exact = [(1 - given if share.amount is None else share.amount) * images for share in shares]
        counts = [int(each) for each in exact]
        by_loss = sorted(range(len(shares)), key=lambda i: counts[i] - exact[i])
        for i in by_loss[: images - sum(counts)]:
            counts[i] += 1
    for share, count in zip(shares, counts, strict=True):
        if count <= 0:
            raise ValueError(f"the part {share.name!r} would get none of the {images:,} images")
    if sum(counts) != images:
        raise ValueError(
            f"the parts have {sum(counts):,} images in all, expected the {images:,} that there "
            f"are; one part may get the {REST}"
        )
    return tuple(counts)


def _share(text: str) -> Share:
    name, equals, amount = text.partition("=")
    if not equals:
        raise ValueError(f"found the part {text!r}, expected a name and a share, as in train=0.8")
    if not _NAME.fullmatch(name) or _DEVICES.fullmatch(name):
        raise ValueError(
            f"the name of a part is {name!r}, expected up to 50 letters, digits, '_' and '-' that "
            "make the name of a folder on any system"
        )
    if amount == REST:
        return Share(name=name, amount=None)
    if _COUNT.fullmatch(amount) and int(amount):
        return Share(name=name, amount=int(amount))
    if _FRACTION.fullmatch(amount) and int(amount.partition("/")[2] or 1):
        return Share(name=name, amount=Fraction(amount))
    raise ValueError(
        f"the share of {name!r} is {amount!r}, expected a fraction such as 0.8, a number of images "
        f"or {REST!r}"
    )


def _refuse_other_sum(total: Fraction, *, rest: bool) -> None:
    if total > 1 or (total < 1 and not rest):
        raise ValueError(
            f"the fractions add up to {float(total):g}, expected 1; one part may get the {REST}"
        )


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
    pngs = png_folder(files.annotations, files.pngs)
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
        atomic.write_json(path, listing.rest, lists)


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
