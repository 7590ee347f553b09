"""Check of one image of a COCO panoptic data set: its photo, its map and its segments."""

import hashlib
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from jsisnet.arrays import UInt32
from jsisnet.categories import CategoryId
from jsisnet.datatools.check.listing import CocoListing, ListedCategory, ListedImage
from jsisnet.datatools.check.rules import Rule, Violation
from jsisnet.datatools.check.segments import (
    SegmentCheck,
    distinct_categories,
    find_regions,
    repair,
)
from jsisnet.files import json_fields
from jsisnet.files.archives import describe_missing, file_exists, stored_file
from jsisnet.files.atomic import replacing
from jsisnet.files.json_fields import Entry
from jsisnet.files.json_stream import EntryReader
from jsisnet.files.links import Links, RefusedLinkError
from jsisnet.files.photo_folder import LocatedPhoto, Oddity, PhotoFolder
from jsisnet.files.photos import read_image, used_bits
from jsisnet.files.png import read_ids, write_ids
from jsisnet.files.stamps import Stamp, stamp, unsure
from jsisnet.formats.records import size_text
from jsisnet.panoptic import ImageId

_ODD_NAMES = {
    Oddity.PATH: Rule.PHOTO_PATH,
    Oddity.UNICODE: Rule.PHOTO_NAME,
    Oddity.CITYSCAPES: Rule.PHOTO_NAME,
}
"""Rules about names under which photos are listed."""

_ORIENTATION = 0x112
_UPRIGHT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Photo:
    """A decoded photo."""

    size: tuple[int, int]
    """Height and width in pixels, before any EXIF rotation."""

    digest: str
    """Hash of the size and the pixels."""

    violations: tuple[Violation, ...]
    """Warnings and notes; the messages do not name the photo."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundPhoto:
    """Result of looking for a photo."""

    path: Path
    """Path of the photo; its name may differ in case from the one that was looked for."""

    stamp: Stamp
    """Its stamp from before it was read."""

    photo: Photo | None
    """``None`` if it is missing or cannot be decoded."""

    violations: tuple[Violation, ...]
    """What is wrong; the messages name the photo."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageResult:
    """Result of checking one image."""

    name: str
    """File name of the photo."""

    violations: tuple[Violation, ...] = ()
    """What is wrong; the messages name the image."""

    digest: str | None = None
    """Hash of the photo's pixels; ``None`` if it cannot be decoded."""

    segments: int = 0
    """Number of usable segments; 0 without a readable photo."""

    category_ids: tuple[CategoryId, ...] = ()
    """Categories of the usable segments."""

    solid_ids: tuple[CategoryId, ...] = ()
    """Those of them with a segment that is no crowd."""

    image: Entry | None = None
    """Image entry in a repaired copy; ``None`` if it is dropped or there is no copy."""

    annotations: tuple[Entry, ...] = ()
    """Annotation entries in a repaired copy; none if the image is dropped or there is no copy."""

    stamps: tuple[Stamp, ...] = ()
    """Stamps of the files that were read, the annotations included."""


@dataclass(frozen=True, kw_only=True)
class CocoChecker:
    """Checks the images of a COCO panoptic file one by one."""

    listing: CocoListing
    """The lists of the file."""

    photos: Path
    """Folder of the photos."""

    pngs: Path
    """Folder of the maps."""

    copied_pngs: Path | None = None
    """Folder that receives the maps of a repaired copy; ``None`` for no copy."""

    other: CocoListing | None = None
    """The lists of another data set, of which only the photos are read."""

    other_photos: Path = Path()
    """Folder of the other photos."""

    folder: PhotoFolder = field(init=False)
    """Finds the photos by their names."""

    map_links: Links = field(init=False)
    other_links: Links = field(init=False)
    """The rules for links among the maps and the other photos."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", PhotoFolder(self.photos))
        object.__setattr__(self, "map_links", Links(self.pngs))
        object.__setattr__(self, "other_links", Links(self.other_photos))

    @property
    def path(self) -> Path:
        """The file."""
        return self.listing.path

    @property
    def rest(self) -> Entry:
        """The other top-level fields of the file."""
        return self.listing.rest

    @property
    def num_images(self) -> int:
        """Number of images in the file, without those of the other data set."""
        return len(self.listing.images)

    @property
    def categories(self) -> Mapping[CategoryId, ListedCategory]:
        """Categories of the file by id."""
        return self.listing.categories

    @property
    def violations(self) -> tuple[Violation, ...]:
        """What is wrong with the lists of the file."""
        return self.listing.violations

    def __len__(self) -> int:
        """Count the images, followed by those of the other data set; 0 if the file has none."""
        if self.other is None or not self.num_images:
            return self.num_images
        return self.num_images + len(self.other.images)

    def check_every(
        self, positions: Sequence[int], numbers: Iterable[int]
    ) -> Iterator[ImageResult]:
        """Check some images, given their positions and the numbers of the positions to check."""
        if not len(self):
            return  # and there may be no file
        with ExitStack() as files:
            objects = files.enter_context(EntryReader(self.listing.path))
            others = None
            if self.other is not None:
                others = files.enter_context(EntryReader(self.other.path))
            for position in (positions[number] for number in numbers):
                if position < self.num_images:
                    yield self._check(self.listing.images[position], objects)
                elif others is not None and self.other is not None:
                    listed = self.other.images[position - self.num_images]
                    yield self._check_other_photo(others.read(listed.image))

    def _check(self, listed: ListedImage, objects: EntryReader) -> ImageResult:
        image = objects.read(listed.image)
        annotation = None if listed.annotation is None else objects.read(listed.annotation)
        return _ImageChecker(self, listed.image_id, image, annotation).check()

    def _check_other_photo(self, image: Entry) -> ImageResult:
        """Hash a photo of the other data set; one that cannot be decoded is ignored."""
        assert self.other is not None  # its image is given
        name = json_fields.string(image, "file_name")
        listed = stamp(self.other.path)
        try:
            path = json_fields.path_in(self.other_photos, image, "file_name")
            self.other_links.refuse(path)
            before = stamp(path)
            photo = _read_photo(path)
        except ValueError:
            return ImageResult(name=name, stamps=(unsure(name),))
        return ImageResult(name=name, digest=photo.digest, stamps=(listed, before))


@dataclass
class _ImageChecker:
    """Checks one image and prepares its entries in a repaired copy."""

    dataset: CocoChecker
    image_id: ImageId
    image: Entry
    annotation: Entry | None
    violations: list[Violation] = field(default_factory=list)
    changes: dict[str, object] = field(default_factory=dict)
    """Fields of the image entry that change in a repaired copy."""
    stamps: list[Stamp] = field(default_factory=list)
    """Stamps of the files that are read."""

    def check(self) -> ImageResult:
        self.stamps.append(stamp(self.dataset.path))
        photo = self._check_photo()
        ids = None if self.annotation is None else self._read_map(self.annotation, photo)
        segments = None if ids is None else self._check_segments(ids)
        usable = {} if segments is None or photo is None else segments.usable()
        complete = photo is not None and (self.annotation is None or segments is not None)
        copied = complete and self.dataset.copied_pngs is not None
        annotation = None
        if copied and segments is not None and ids is not None:
            annotation = self._copy_annotation(segments, ids)
        return ImageResult(
            name=json_fields.string(self.image, "file_name"),
            violations=tuple(self.violations),
            digest=None if photo is None else photo.digest,
            segments=len(usable),
            category_ids=distinct_categories(usable.values()),
            solid_ids=distinct_categories(s for s in usable.values() if not s.iscrowd),
            image={**self.image, **self.changes} if copied else None,
            annotations=() if annotation is None else (annotation,),
            stamps=tuple(self.stamps),
        )

    def _add(self, rule: Rule, message: str) -> None:
        self.violations.append(Violation(rule, f"image {self.image_id!r}: {message}"))

    def _check_photo(self) -> Photo | None:
        if self.annotation is None:
            self._add(Rule.UNANNOTATED, "no annotation")
        located = self._locate()
        if located is None:
            return None
        found = find_photo(located.path)
        self.stamps.append(found.stamp)
        for violation in (*note_link(self.dataset.folder.links, located.path), *found.violations):
            self._add(violation.rule, violation.message)
        if located.oddity is not None or found.path != located.path:
            self.changes["file_name"] = found.path.relative_to(self.dataset.photos).as_posix()
        if found.photo is not None:
            self._check_size(found.path, found.photo.size)
        return found.photo

    def _locate(self) -> LocatedPhoto | None:
        name = json_fields.string(self.image, "file_name")
        try:
            located = self.dataset.folder.find(name)
        except ValueError as error:
            isrefused = isinstance(error, RefusedLinkError)
            self._add(Rule.LINK_OUT if isrefused else Rule.PATH, str(error))
            self.stamps.append(unsure(name))
            return None
        if located.oddity is not None:
            self._add(_ODD_NAMES[located.oddity], f"{name!r} is {located.path}")
        return located

    def _check_size(self, path: Path, size: tuple[int, int]) -> None:
        names = ("height", "width")
        if not all(json_fields.has(self.image, name) for name in names):
            self._add(Rule.IMAGE_SIZE, "missing 'height' or 'width'")
        elif tuple(self.image[name] for name in names) == size[::-1] != size:
            text = f"{path} is {size_text(size)} pixels; the JSON file has height and width swapped"
            self._add(Rule.SIZE_SWAPPED, text)
        elif tuple(self.image[name] for name in names) != size:
            listed = "x".join(json_fields.shown(self.image[name]) for name in names)
            text = f"{path} is {size_text(size)} pixels, but the JSON file says {listed}"
            self._add(Rule.PHOTO_SIZE, text)
        self.changes |= zip(names, size, strict=True)

    def _read_map(self, annotation: Entry, photo: Photo | None) -> UInt32[np.ndarray, "h w"] | None:
        path = self._map(annotation)
        if path is None:
            return None
        self.stamps.append(stamp(path))
        if not file_exists(path):
            self._add(Rule.PNG_MISSING, f"{path} {describe_missing(path)}")
            return None
        try:
            ids = read_ids(path)
        except ValueError as error:
            self._add(Rule.PNG, f"{path}: {error}")
            return None
        size = (ids.shape[0], ids.shape[1])
        if photo is not None and photo.size != size:
            text = f"{path} is {size_text(size)} pixels, but its photo is {size_text(photo.size)}"
            self._add(Rule.PNG_SIZE, text)
            return None
        return ids

    def _check_segments(self, ids: UInt32[np.ndarray, "h w"]) -> SegmentCheck | None:
        assert self.annotation is not None  # there is a map
        try:
            values = json_fields.items(self.annotation, "segments_info")
        except ValueError as error:
            self._add(Rule.ENTRY, str(error))
            return None
        segments = SegmentCheck(values, find_regions(ids), self.dataset.listing.categories)
        for violation in segments.violations:
            self._add(violation.rule, violation.message)
        return segments

    def _copy_annotation(self, segments: SegmentCheck, ids: UInt32[np.ndarray, "h w"]) -> Entry:
        assert self.annotation is not None  # there are segments
        assert self.dataset.copied_pngs is not None  # a copy is wanted
        repaired = repair(segments, ids)
        png = json_fields.path_in(self.dataset.copied_pngs, self.annotation, "file_name")
        if repaired.ids is not None:
            write_ids(repaired.ids, png)
        else:
            original = json_fields.path_in(self.dataset.pngs, self.annotation, "file_name")
            with replacing(png) as temporary:
                temporary.write_bytes(stored_file(original).read_bytes())
        return {
            **self.annotation,
            "image_id": self.image_id,
            "segments_info": repaired.segments_info,
        }

    def _map(self, annotation: Entry) -> Path | None:
        try:
            path = json_fields.path_in(self.dataset.pngs, annotation, "file_name")
        except ValueError as error:
            self._add(Rule.PATH, str(error))
            return None
        refusal = self.dataset.map_links.refusal(path)
        if refusal is not None:
            self._add(Rule.LINK_OUT, refusal)
            self.stamps.append(unsure(str(path)))
            return None
        for violation in note_link(self.dataset.map_links, path):
            self._add(violation.rule, violation.message)
        return path


def note_link(links: Links, path: Path) -> Iterator[Violation]:
    """Yield a note if a file is a link or in a linked folder, so that it may lie elsewhere."""
    for link in links.on_the_way(path)[:1]:
        yield Violation(Rule.LINK, f"{link} is a symbolic link to {link.readlink()}")


def find_photo(path: Path) -> FoundPhoto:
    """Find a photo, ignoring upper and lower case if necessary, and decode it."""
    violations = []
    if not path.exists():
        name = _find_other_case(path)
        if name is None:
            missing = Violation(Rule.PHOTO_MISSING, f"{path} does not exist")
            return FoundPhoto(path=path, stamp=stamp(path), photo=None, violations=(missing,))
        text = f"{path} does not exist, but {name} does"
        violations.append(Violation(Rule.PHOTO_CASE, text))
        path = path.with_name(name)
    before = stamp(path)
    try:
        photo = _read_photo(path)
    except ValueError as error:
        violations.append(Violation(Rule.PHOTO, str(error)))
        return FoundPhoto(path=path, stamp=before, photo=None, violations=tuple(violations))
    violations += [Violation(each.rule, f"{path}: {each.message}") for each in photo.violations]
    return FoundPhoto(path=path, stamp=before, photo=photo, violations=tuple(violations))


def _read_photo(path: Path) -> Photo:
    """Decode a photo as a training would.

    Raises:
        ValueError: If it cannot be decoded; the message names it.
    """
    pixels = read_image(path)
    height, width, _ = pixels.shape
    # SHA-1 is fast, and collisions on purpose are no concern here.
    digest = hashlib.sha1(pixels.data, usedforsecurity=False)
    digest.update(f"{height}x{width}".encode())
    return Photo(
        size=(height, width), digest=digest.hexdigest(), violations=tuple(_check_metadata(path))
    )


def _find_other_case(path: Path) -> str | None:
    """Return the name of a file, no link, that differs from a missing one only in its case."""
    if not path.parent.is_dir():
        return None
    names = (found.name for found in path.parent.iterdir() if not found.is_symlink())
    return next((name for name in names if name.casefold() == path.name.casefold()), None)


def _check_metadata(path: Path) -> list[Violation]:
    """Check the orientation and the mode of a photo."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's about large photos
        try:
            with Image.open(path) as image:
                mode = image.mode
                turned = image.getexif().get(_ORIENTATION, _UPRIGHT) != _UPRIGHT
        except Exception:  # damaged EXIF data raises all kinds of errors and rotates nothing
            return []
    violations = []
    if mode.startswith("I"):
        mode = f"{mode}, of which {used_bits(path)} bits are used"
    if turned:
        text = "EXIF says to rotate it, but its annotation is not rotated"
        violations.append(Violation(Rule.PHOTO_TURNED, text))
    if mode != "RGB":
        violations.append(Violation(Rule.PHOTO_MODE, f"its mode is {mode}"))
    return violations
