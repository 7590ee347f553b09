"""Check of an archive for COCO's panoptic challenge, which reports all violations at once."""

import json
import math
import re
import stat
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import NoReturn
from zipfile import BadZipFile, ZipFile, ZipInfo

from jsisnet.categories import CategoryId
from jsisnet.datatools.violations import RuleViolations, ViolationCounter
from jsisnet.files import json_fields
from jsisnet.files.json_fields import Entry
from jsisnet.files.png import MAX_ID, read_ids
from jsisnet.files.regular import check_regular
from jsisnet.formats.image_list import ImageList, ListedImage
from jsisnet.formats.pixel_codes import renumber
from jsisnet.formats.records import size_text
from jsisnet.panoptic import ImageId

MAX_EXAMPLES = 5
"""Number of messages that are kept for each rule."""

_TITLE = re.compile(r"panoptic_.+_.+_results")
_JSON_NAME = "panoptic_SPLIT_NAME_results.json"
_MAX_JSON_BYTES = 2**30
_KEYS = ("annotations", "image_id", "file_name", "segments_info", "id", "category_id")
_ZIP_ERRORS = (BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, zlib.error)
_PNG_HEADER = struct.Struct(">8s8xIIBB")
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB = (8, 2)


class ArchiveRule(StrEnum):
    """A rule of the challenge; its value says what is wrong if it is violated."""

    ZIP = "archive is damaged, incomplete or encrypted"
    PATHS = "path leads outside the archive or occurs twice"
    LAYOUT = "archive does not hold one JSON file and the folder of its PNGs alone"
    NAMES = "JSON file is not called panoptic_SPLIT_NAME_results.json"
    JSON = "JSON file is not valid JSON"
    ENTRIES = "annotation lacks image_id, file_name or segments_info with id and category_id"
    IMAGES = "image has no annotation, more than one, or is not listed"
    FILES = "annotation has no PNG of its own, or PNG no annotation"
    PNGS = "map is not a complete PNG with 8-bit RGB pixels"
    SIZES = "map and photo differ in size"
    IDS = "segment ids of the PNG and the JSON file differ"
    CATEGORIES = "segment has an unknown category"
    STUFF = "stuff class has several segments in an image"


ArchiveViolations = RuleViolations[ArchiveRule]
"""The violations of one rule."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveContents:
    """The files of an archive."""

    json: ZipInfo
    """The JSON file."""

    pngs: dict[str, ZipInfo]
    """PNGs by their paths inside the folder named like the JSON file."""


def check_archive(
    archive: Path, expected: ImageList, *, on_image: Callable[[int, int], None] | None = None
) -> tuple[ArchiveViolations, ...]:
    """Check an archive, written by any program.

    Args:
        archive: The zip file. Its maps are read one by one.
        expected: The images that it must hold, and the categories to use.
        on_image: Called with the numbers of maps read and in total.

    Returns:
        The violated rules; empty if the archive is valid.

    Raises:
        OSError: If there is no such file.
    """
    counter: ViolationCounter[ArchiveRule] = ViolationCounter(MAX_EXAMPLES)
    check_regular(archive)
    try:
        file = ZipFile(archive)
    except OSError:
        raise
    except Exception as error:  # damaged zips raise anything
        counter.add(ArchiveRule.ZIP, f"it can't be read ({error})")
        return counter.by_rule()
    with file:
        contents = _sort_entries(file.infolist(), counter)
        if contents is not None:
            _ArchiveChecker(file, contents, expected, counter).check(on_image)
    return counter.by_rule()


@dataclass(frozen=True, slots=True)
class _ArchiveChecker:
    """Checks the JSON file and the PNGs of an archive."""

    file: ZipFile
    contents: ArchiveContents
    expected: ImageList
    counter: ViolationCounter[ArchiveRule]
    owners: dict[str, ImageId] = field(default_factory=dict)
    """Image of each PNG that an annotation names."""
    seen: set[ImageId] = field(default_factory=set)

    def check(self, on_image: Callable[[int, int], None] | None) -> None:
        annotations = self._read_annotations()
        if annotations is None:
            return
        for number, values in enumerate(annotations):
            try:
                self._check_annotation(json_fields.entry(values))
            except ValueError as error:
                self.counter.add(ArchiveRule.ENTRIES, f"annotations[{number}]: {error}")
            if on_image is not None:
                on_image(number + 1, len(annotations))
        self._check_missing()

    def _check_missing(self) -> None:
        for image_id in self.expected.images:
            if image_id not in self.seen:
                self.counter.add(ArchiveRule.IMAGES, f"image {image_id!r}: no annotation")
        for name in self.contents.pngs:
            if name not in self.owners:
                self.counter.add(ArchiveRule.FILES, f"{name!r}: no annotation names this PNG")

    def _read_annotations(self) -> list[object] | None:
        if self.contents.json.file_size > _MAX_JSON_BYTES:
            text = f"the JSON file is larger than {_MAX_JSON_BYTES:,} bytes"
            self.counter.add(ArchiveRule.JSON, text)
            return None
        try:
            content = self.file.read(self.contents.json)
        except _ZIP_ERRORS as error:
            self.counter.add(ArchiveRule.ZIP, f"the JSON file can't be read ({error})")
            return None
        try:
            return _parse_strictly(content)
        except RecursionError:
            self.counter.add(ArchiveRule.JSON, "the JSON file: nested too deeply")
        except ValueError as error:
            self.counter.add(ArchiveRule.JSON, f"the JSON file: {error}")
        return None

    def _check_annotation(self, values: Entry) -> None:
        image_id = json_fields.identity(values, "image_id")
        name = json_fields.string(values, "file_name")
        prefix = f"image {image_id!r}"
        image = self.expected.images.get(image_id)
        if image is None:
            self.counter.add(ArchiveRule.IMAGES, f"{prefix}: not in the list")
        elif image_id in self.seen:
            self.counter.add(ArchiveRule.IMAGES, f"{prefix}: two annotations")
        self.seen.add(image_id)
        entry = self._find_png(prefix, name)
        self.owners.setdefault(name, image_id)
        segments = json_fields.each(values, "segments_info", _parse_segment)
        self._check_categories(prefix, [category_id for _, category_id in segments])
        if entry is not None and image is not None:
            self._check_png(prefix, entry, image, [segment_id for segment_id, _ in segments])

    def _find_png(self, prefix: str, name: str) -> ZipInfo | None:
        entry = self.contents.pngs.get(name)
        if entry is None:
            self.counter.add(ArchiveRule.FILES, f"{prefix}: its PNG {name!r} is not in the folder")
        elif name in self.owners:
            text = f"{name!r} is already the PNG of image {self.owners[name]!r}"
            self.counter.add(ArchiveRule.FILES, f"{prefix}: {text}")
            return None
        return entry

    def _check_categories(self, prefix: str, category_ids: Iterable[CategoryId]) -> None:
        known = self.expected.categories
        for category_id, count in Counter(category_ids).items():
            if category_id not in known:
                text = f"{prefix}: unknown category {category_id!r}"
                self.counter.add(ArchiveRule.CATEGORIES, text)
            elif count > 1 and not known[known.label(category_id)].isthing:
                name = known[known.label(category_id)].name
                self.counter.add(ArchiveRule.STUFF, f"{prefix}: {name!r} has {count} segments")

    def _check_png(
        self, prefix: str, entry: ZipInfo, image: ListedImage, listed: list[int]
    ) -> None:
        height, width = image.size
        # Even incompressible pixels take less space, so a larger file is not a map.
        if entry.file_size > 8 * height * width + 2**20:
            text = f"{prefix}: its PNG has {entry.file_size:,} bytes, too many for its size"
            self.counter.add(ArchiveRule.PNGS, text)
            return
        try:
            content = self.file.read(entry)
        except _ZIP_ERRORS as error:
            self.counter.add(ArchiveRule.ZIP, f"{prefix}: its PNG can't be read ({error})")
            return
        header = _PNG_HEADER.unpack(content[: _PNG_HEADER.size].ljust(_PNG_HEADER.size, b"\0"))
        signature, found_width, found_height, *kind = header
        if signature != _PNG_SIGNATURE or tuple(kind) != _RGB:
            self.counter.add(ArchiveRule.PNGS, f"{prefix}: its PNG has no 8-bit RGB pixels")
        elif (found_height, found_width) != image.size:
            found = size_text((found_height, found_width))
            text = f"{prefix}: its PNG is {found} pixels, but its photo is {size_text(image.size)}"
            self.counter.add(ArchiveRule.SIZES, text)
        else:
            self._check_ids(prefix, content, listed)

    def _check_ids(self, prefix: str, png: bytes, listed: list[int]) -> None:
        try:
            ids = read_ids(png)
        except ValueError as error:
            self.counter.add(ArchiveRule.PNGS, f"{prefix}: its PNG {error}")
            return
        add = partial(self.counter.add, ArchiveRule.IDS)
        counts = Counter(listed)
        for segment_id, count in counts.items():
            if count > 1:
                add(f"{prefix}: segment {segment_id} is listed {count} times")
        try:
            _, areas = renumber(ids, list(counts))
        except ValueError as error:
            add(f"{prefix}: {error}")
            return
        for segment_id, area in zip(counts, areas.tolist(), strict=True):
            if area == 0:
                add(f"{prefix}: segment {segment_id} is listed but has no pixels")


def _sort_entries(
    entries: Iterable[ZipInfo], counter: ViolationCounter[ArchiveRule]
) -> ArchiveContents | None:
    """Sort the entries of an archive into the JSON file and the PNGs.

    Args:
        entries: The archive's directory.
        counter: Counts every file that is out of place.

    Returns:
        The sorted entries; ``None`` unless there is exactly one candidate for the JSON file.
    """
    files = _find_files(entries, counter)
    tops = [name for name in files if "/" not in name and name.endswith(".json")]
    if len(tops) != 1:
        found = ", ".join(map(repr, tops[:MAX_EXAMPLES])) or "none"
        text = f"expected one JSON file outside any folder, found {found}"
        counter.add(ArchiveRule.LAYOUT, text)
        return None
    title = tops[0].removesuffix(".json")
    if not _TITLE.fullmatch(title):
        text = f"the JSON file is called {tops[0]!r}; expected {_JSON_NAME}"
        counter.add(ArchiveRule.NAMES, text)
    contents = ArchiveContents(json=files.pop(tops[0]), pngs={})
    for name, entry in files.items():
        if name.startswith(f"{title}/") and name.endswith(".png"):
            contents.pngs[name.removeprefix(f"{title}/")] = entry
        else:
            counter.add(ArchiveRule.LAYOUT, f"{name!r} is not a PNG in the folder {title!r}")
    return contents


def _find_files(
    entries: Iterable[ZipInfo], counter: ViolationCounter[ArchiveRule]
) -> dict[str, ZipInfo]:
    files: dict[str, ZipInfo] = {}
    for entry in entries:
        # `filename` is sanitized by zipfile.
        name = entry.orig_filename
        if _is_outside(name) or stat.S_ISLNK(entry.external_attr >> 16):
            counter.add(ArchiveRule.PATHS, f"{name!r} is not a file inside the archive")
        elif name in files:
            counter.add(ArchiveRule.PATHS, f"{name!r} occurs twice")
        elif not entry.is_dir():
            files[name] = entry
    return files


def _is_outside(name: str) -> bool:
    try:
        json_fields.path_in(Path(), {"name": name}, "name")
    except ValueError:
        return True
    return False


def _parse_segment(values: Entry) -> tuple[int, CategoryId]:
    segment_id = json_fields.integer(values, "id", lowest=1, highest=MAX_ID)
    return segment_id, json_fields.identity(values, "category_id")


def _parse_strictly(content: bytes) -> list[object]:
    """Return the annotations of a JSON file, refusing what some JSON parsers do not accept."""
    parsed = json.loads(
        content.decode("utf-8"),
        parse_constant=_refuse_constant,
        parse_float=_parse_finite,
        object_pairs_hook=_keep_known_keys,
    )
    return json_fields.items(json_fields.entry(parsed), "annotations")


def _keep_known_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Drop the fields of an object that are not checked, to save memory."""
    keys = {key for key, _ in pairs}
    if len(keys) < len(pairs):
        raise ValueError(f"duplicate key in an object with the keys {sorted(keys)[:3]}")
    return {key: value for key, value in pairs if key in _KEYS}


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not valid JSON")


def _parse_finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large for a floating-point number")
    return number
