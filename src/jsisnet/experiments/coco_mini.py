"""The photos of COCO that the embedded models were trained and measured on, as small data sets.

coco-mini             100 photos of train2017 and 40 of val2017 with panoptic annotations
coco-instances-mini   193 photos, 37 or more of val2017, of which only things are annotated
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from jsisnet.datatools.parts import (
    Files,
    Kind,
    Listing,
    folder_of_pngs,
    link_maps,
    link_or_copy,
    read_listing,
    write_part,
)
from jsisnet.experiments.photo_ids import INSTANCES_TRAIN, PANOPTIC_TRAIN, PANOPTIC_VAL
from jsisnet.files import json_fields
from jsisnet.files.journal import JOURNAL, open_journal, refuse_other_files
from jsisnet.files.links import Links
from jsisnet.panoptic import ImageId

PANOPTIC, INSTANCES = "coco-mini", "coco-instances-mini"
"""Names of the data sets, which the built-in configurations expect."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Photos with one annotation file."""

    name: str
    """Name of the data set."""

    kind: Kind
    splits: tuple[str, ...]
    """Splits of COCO that the photos are from; the files are named after the first one."""

    ids: tuple[ImageId, ...]

    def annotations(self, split: str) -> str:
        """Return the path of the annotations of a split, in COCO and in the data set."""
        what = "panoptic" if self.kind == "coco" else "instances"
        return f"annotations/{what}_{split}.json"


PARTS = (
    Part(name=PANOPTIC, kind="coco", splits=("train2017",), ids=PANOPTIC_TRAIN),
    Part(name=PANOPTIC, kind="coco", splits=("val2017",), ids=PANOPTIC_VAL),
    Part(
        name=INSTANCES,
        kind="coco-instances",
        splits=("train2017", "val2017"),
        ids=INSTANCES_TRAIN,
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Chosen:
    """A part, and where its photos are in COCO."""

    part: Part
    pngs: Path | None
    """Folder of the maps, if there are any."""
    images: tuple[tuple[Listing, int], ...]
    """Annotation file of each photo, and its position there."""
    photos: tuple[Path, ...]


def choose(
    root: Path, out: Path, *, on_photo: Callable[[int, int], object] = lambda *_: None
) -> None:
    """Make both data sets. Photos and maps are hard links where the file system allows it.

    All inputs are checked before the first file is written. Call it again to complete data sets
    after an interruption.

    Args:
        root: COCO 2017 as unpacked: ``train2017``, ``val2017``, ``annotations``.
        out: Folder for the data sets.
        on_photo: Called with the number of photos done and the total.

    Raises:
        ValueError: If a file is missing or invalid, does not list one of the photos, or is a link
            that leads out of `root`; or if there are other files where a data set is to be.
    """
    for name in (PANOPTIC, INSTANCES):
        refuse_other_files(out / name / JOURNAL)
    links = Links(root)
    found = [_find(part, root, links) for part in PARTS]
    total = sum(len(each.photos) for each in found)
    done = count(1)
    for name in (PANOPTIC, INSTANCES):
        with open_journal(out / name / JOURNAL, f"{name} of {root.resolve()}") as unfinished:
            for each in found:
                if each.part.name == name:
                    _write(each, out / name, lambda: on_photo(next(done), total))
            unfinished.finish({})


def _write(chosen: _Chosen, folder: Path, on_photo: Callable[[], object]) -> None:
    split = chosen.part.splits[0]
    path = folder / chosen.part.annotations(split)
    for photo in chosen.photos:
        link_or_copy(photo, folder / split / photo.name)
        on_photo()
    if chosen.pngs is not None:
        maps = {number: path.with_suffix("") for _, number in chosen.images}
        link_maps(chosen.images[0][0], chosen.pngs, maps)
    write_part(chosen.images, path)


def _find(part: Part, root: Path, links: Links) -> _Chosen:
    listings = {split: _read(root, part, split, links) for split in part.splits}
    _refuse_other_classes(list(listings.values()))
    places = _places(part.ids, listings)
    images = tuple((listings[split], number) for split, number in places)
    pngs = None
    if part.kind == "coco":
        for listing, number in images:
            if not len(listing.annotations[number]):
                raise ValueError(f"{_named(listing, number)} has no annotation")
        pngs = folder_of_pngs(Files(annotations=images[0][0].index.path))
        links.refuse(pngs)
    photos = (_photo(root / split, listings[split], number, links) for split, number in places)
    return _Chosen(part=part, pngs=pngs, images=images, photos=tuple(photos))


def _places(ids: Sequence[ImageId], listings: Mapping[str, Listing]) -> tuple[tuple[str, int], ...]:
    """Return split and position of each image.

    Raises:
        ValueError: If an image is listed in none of the splits, or in two.
    """
    found: dict[ImageId, list[tuple[str, int]]] = {image: [] for image in ids}
    for split, listing in listings.items():
        for number, image in enumerate(listing.index.images.image_ids):
            if image in found:
                found[image].append((split, number))
    for image, places in found.items():
        if len(places) != 1:
            files = " and ".join(str(each.index.path) for each in listings.values())
            raise ValueError(
                f"{files}: image {image} is listed {len(places)} times; expected COCO's own files, "
                "which list it once"
            )
    return tuple(place for (place,) in found.values())


def _named(listing: Listing, number: int) -> str:
    """Return how messages name an image."""
    return f"{listing.index.path}: image {listing.index.images.image_ids[number]!r}"


def _read(root: Path, part: Part, split: str, links: Links) -> Listing:
    path = root / part.annotations(split)
    if not path.is_file():
        raise ValueError(
            f"{path}: no such file; expected COCO 2017 as unpacked, a folder with train2017, "
            "val2017, and in annotations the panoptic and instances files of both"
        )
    links.refuse(path)
    return read_listing(path, part.kind)


def _refuse_other_classes(listings: Sequence[Listing]) -> None:
    first = listings[0].index
    for other in (each.index for each in listings[1:]):
        if other.fields["categories"] != first.fields["categories"]:
            raise ValueError(f"{other.path}: other categories than in {first.path}")


def _photo(folder: Path, listing: Listing, number: int, links: Links) -> Path:
    try:
        name = {"file_name": listing.names[number]}
        photo = json_fields.path_in(folder, name, "file_name")
    except ValueError as error:
        raise ValueError(f"{_named(listing, number)}: {error}") from None
    if not photo.is_file():
        raise ValueError(f"{photo}: no such photo; {listing.index.path} lists it")
    links.refuse(photo)
    return photo
