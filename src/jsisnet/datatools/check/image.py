"""All that is wrong with one image: its photo, its map and its segments."""

import hashlib
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from jsisnet.arrays import UInt32
from jsisnet.categories import CategoryId
from jsisnet.datatools.check.listing import ListedCategory, ListedImage, Listing
from jsisnet.datatools.check.rules import Case, Rule
from jsisnet.datatools.check.segments import Segments, by_id, regions, repaired
from jsisnet.files import json_fields
from jsisnet.files.archives import holds, stored
from jsisnet.files.atomic import replacing
from jsisnet.files.json_fields import Entry
from jsisnet.files.json_stream import Objects
from jsisnet.files.photos import read_image
from jsisnet.files.png import read_ids, write_ids
from jsisnet.panoptic import ImageId

_ORIENTATION = 0x112
_UPRIGHT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Photo:
    """A photo that can be read."""

    size: tuple[int, int]
    """Height and width in pixels, as they are stored."""

    digest: str
    """Differs for other pixels."""

    cases: tuple[Case, ...]
    """What is odd about it, in sentences that do not name it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What lies where a photo should be."""

    path: Path
    """The photo, whose name may have another case than the one that was looked for."""

    photo: Photo | None
    """``None`` if it can't be read."""

    cases: tuple[Case, ...]
    """What is wrong or odd, in sentences that name the photo."""


def look_for(path: Path) -> Found:
    """Look for a photo and read it."""
    cases = []
    if not path.is_file():
        name = other_case(path)
        if name is None:
            missing = Case(Rule.PHOTO_MISSING, f"{path} does not exist")
            return Found(path=path, photo=None, cases=(missing,))
        cases.append(Case(Rule.PHOTO_CASE, f"{path} does not exist, but {name} does"))
        path = path.with_name(name)
    try:
        photo = read_photo(path)
    except ValueError as error:
        return Found(path=path, photo=None, cases=(*cases, Case(Rule.PHOTO, str(error))))
    cases += [Case(case.rule, f"{path}: {case.sentence}") for case in photo.cases]
    return Found(path=path, photo=photo, cases=tuple(cases))


def read_photo(path: Path) -> Photo:
    """Read a photo as a training would.

    Raises:
        ValueError: If it can't be read; the message names it.
    """
    pixels = read_image(path)
    height, width, _ = pixels.shape
    # Faster than those without weaknesses, and nobody gains by two photos that seem the same.
    digest = hashlib.sha1(pixels.data, usedforsecurity=False)
    digest.update(f"{height}x{width}".encode())
    return Photo(size=(height, width), digest=digest.hexdigest(), cases=tuple(_oddities(path)))


def other_case(path: Path) -> str | None:
    """Give the name of a file that differs from a missing one in upper and lower case alone."""
    if not path.parent.is_dir():
        return None
    names = (found.name for found in path.parent.iterdir())
    return next((name for name in names if name.casefold() == path.name.casefold()), None)


def _oddities(path: Path) -> list[Case]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those about its size, which is right
        try:
            with Image.open(path) as image:
                mode = image.mode
                turned = image.getexif().get(_ORIENTATION, _UPRIGHT) != _UPRIGHT
        except Exception:  # damaged EXIF data raises anything, and turns nothing
            return []
    cases = []
    if turned:
        cases.append(Case(Rule.PHOTO_TURNED, "EXIF says to turn it, but the map isn't turned"))
    if mode != "RGB":
        cases.append(Case(Rule.PHOTO_MODE, f"its pixels are {mode}"))
    return cases


@dataclass(frozen=True, kw_only=True, slots=True)
class Examined:
    """What was found out about an image."""

    name: str
    """Of the photo."""

    cases: tuple[Case, ...] = ()
    """What is wrong, in sentences that name the image."""

    digest: str | None = None
    """Differs for photos with other pixels; ``None`` for one that can't be read."""

    segments: int = 0
    """Segments that can be used, photo and all."""

    seen: tuple[CategoryId, ...] = ()
    """Their categories."""

    image: Entry | None = None
    """Its entry in a repaired copy; ``None`` if it is dropped, or there is no copy."""

    annotation: Entry | None = None
    """Its annotation in a repaired copy, likewise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Examination:
    """Images of a file, examined one by one."""

    listing: Listing
    """What the file lists."""

    photos: Path
    """Folder of the photos."""

    pngs: Path
    """Folder of the maps."""

    copies: Path | None = None
    """Folder that receives the maps of a repaired copy; ``None`` if none is wanted."""

    other: Listing | None = None
    """What the file of another data set lists, of which the photos alone are read."""

    other_photos: Path = Path()
    """Folder of the other photos."""

    @property
    def own(self) -> int:
        """Count the images of the file itself."""
        return len(self.listing.images)

    @property
    def categories(self) -> Mapping[CategoryId, ListedCategory]:
        """Classes of the file."""
        return self.listing.categories

    @property
    def cases(self) -> tuple[Case, ...]:
        """What is wrong with the file as a whole."""
        return self.listing.cases

    def __len__(self) -> int:
        """Count the images, the others too, which come last; without own ones there is nothing."""
        if self.other is None or not self.own:
            return self.own
        return self.own + len(self.other.images)

    def share(self, begin: int, first: int, step: int) -> Iterator[Examined]:
        """Examine the images in the positions ``begin + first``, ``begin + first + step``, ..."""
        if not len(self):
            return  # and there may be no file
        with ExitStack() as files:
            objects = files.enter_context(Objects(self.listing.path))
            others = None
            if self.other is not None:
                others = files.enter_context(Objects(self.other.path))
            for position in range(begin + first, len(self), step):
                if position < self.own:
                    yield self._examined(self.listing.images[position], objects)
                elif others is not None and self.other is not None:
                    listed = self.other.images[position - self.own]
                    yield _seen_elsewhere(self.other_photos, others.read(listed.image))

    def _examined(self, listed: ListedImage, objects: Objects) -> Examined:
        image = objects.read(listed.image)
        annotation = None if listed.annotation is None else objects.read(listed.annotation)
        return _Image(self, listed.image_id, image, annotation).examined()


@dataclass
class _Image:
    """An image under examination."""

    whole: Examination
    image_id: ImageId
    image: Entry
    annotation: Entry | None
    cases: list[Case] = field(default_factory=list)
    changes: dict[str, object] = field(default_factory=dict)
    """Fields of the image with other values in a repaired copy."""

    def examined(self) -> Examined:
        photo = self._photo()
        ids = None if self.annotation is None else self._map(self.annotation, photo)
        segments = None if ids is None else self._segments(ids)
        usable = {} if segments is None or photo is None else segments.usable()
        complete = photo is not None and (self.annotation is None or segments is not None)
        kept = complete and self.whole.copies is not None
        annotation = None
        if kept and segments is not None and ids is not None:
            annotation = self._copied(segments, ids)
        return Examined(
            name=json_fields.text(self.image, "file_name"),
            cases=tuple(self.cases),
            digest=None if photo is None else photo.digest,
            segments=len(usable),
            seen=tuple(dict.fromkeys(segment.category_id for segment in usable.values())),
            image={**self.image, **self.changes} if kept else None,
            annotation=annotation,
        )

    def _add(self, rule: Rule, what: str) -> None:
        self.cases.append(Case(rule, f"image {self.image_id!r}: {what}"))

    def _photo(self) -> Photo | None:
        if self.annotation is None:
            self._add(Rule.UNANNOTATED, "has no annotation")
        path = self._path(self.whole.photos, self.image)
        if path is None:
            return None
        found = look_for(path)
        for case in found.cases:
            self._add(case.rule, case.sentence)
        if found.path != path:
            self.changes["file_name"] = found.path.relative_to(self.whole.photos).as_posix()
        if found.photo is not None:
            self._check_size(found.path, found.photo.size)
        return found.photo

    def _check_size(self, path: Path, size: tuple[int, int]) -> None:
        names = ("height", "width")
        if not all(json_fields.has(self.image, name) for name in names):
            self._add(Rule.IMAGE_SIZE, "states no height or no width")
        elif tuple(self.image[name] for name in names) != size:
            stated = " x ".join(str(self.image[name]) for name in names)
            text = f"{path} has {_by(size)} pixels, but the JSON file says {stated}"
            self._add(Rule.PHOTO_SIZE, text)
        self.changes |= zip(names, size, strict=True)

    def _map(self, annotation: Entry, photo: Photo | None) -> UInt32[np.ndarray, "h w"] | None:
        path = self._path(self.whole.pngs, annotation)
        if path is None:
            return None
        if not holds(path):
            self._add(Rule.PNG_MISSING, f"{path} does not exist")
            return None
        try:
            ids = read_ids(path)
        except ValueError as error:
            self._add(Rule.PNG, f"{path} {error}")
            return None
        size = (ids.shape[0], ids.shape[1])
        if photo is not None and photo.size != size:
            text = f"{path} has {_by(size)} pixels, but its photo {_by(photo.size)}"
            self._add(Rule.PNG_SIZE, text)
            return None
        return ids

    def _segments(self, ids: UInt32[np.ndarray, "h w"]) -> Segments | None:
        assert self.annotation is not None  # there is a map
        try:
            values = json_fields.items(self.annotation, "segments_info")
        except ValueError as error:
            self._add(Rule.ENTRY, str(error))
            return None
        segments = Segments(values, by_id(regions(ids)), self.whole.listing.categories)
        for case in segments.cases:
            self._add(case.rule, case.sentence)
        return segments

    def _copied(self, segments: Segments, ids: UInt32[np.ndarray, "h w"]) -> Entry:
        assert self.annotation is not None  # there are segments
        assert self.whole.copies is not None  # a copy is wanted
        made = repaired(segments, ids)
        png = json_fields.path_in(self.whole.copies, self.annotation, "file_name")
        if made.ids is not None:
            write_ids(made.ids, png)
        else:
            original = json_fields.path_in(self.whole.pngs, self.annotation, "file_name")
            with replacing(png) as temporary:
                temporary.write_bytes(stored(original).read_bytes())
        return {**self.annotation, "segments_info": made.segments_info}

    def _path(self, folder: Path, entry: Entry) -> Path | None:
        try:
            return json_fields.path_in(folder, entry, "file_name")
        except ValueError as error:
            self._add(Rule.PATH, str(error))
            return None


def _seen_elsewhere(folder: Path, image: Entry) -> Examined:
    """Read a photo of another data set; one that can't be read is that one's fault."""
    name = json_fields.text(image, "file_name")
    try:
        return Examined(
            name=name, digest=read_photo(json_fields.path_in(folder, image, "file_name")).digest
        )
    except ValueError:
        return Examined(name=name)


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
