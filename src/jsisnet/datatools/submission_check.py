"""Archives for COCO's panoptic challenge, read as a server would, but with all that is wrong."""

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
from tempfile import TemporaryDirectory
from typing import NoReturn
from zipfile import BadZipFile, ZipFile, ZipInfo

from jsisnet.categories import CategoryId
from jsisnet.files import json_fields
from jsisnet.files.json_fields import Entry
from jsisnet.files.png import MAX_ID, read_ids
from jsisnet.formats.image_list import ImageList, ListedImage
from jsisnet.formats.pixel_codes import renumber
from jsisnet.panoptic import ImageId

MAX_EXAMPLES = 5
"""Sentences that a fault shows, of however many cases."""


class Rule(StrEnum):
    """What an archive has to comply with."""

    ZIP = "the archive is a whole zip file without passwords"
    PATHS = "every path stays inside the archive and is there once"
    LAYOUT = "the archive holds one JSON file, the folder named like it with PNGs, and nothing else"
    NAMES = "the JSON file is called panoptic_SPLIT_NAME_results.json"
    JSON = "every JSON parser can read the JSON file"
    ENTRIES = "an annotation has image_id, file_name and segments_info with id and category_id"
    IMAGES = "every image of the list has one annotation, and no other image has any"
    FILES = "every annotation has a PNG of its own, and every PNG an annotation"
    PNGS = "a map is a whole PNG with 8-bit RGB pixels"
    SIZES = "a map has the size of its photo"
    IDS = "the ids of the PNG are those of the JSON file, each once"
    CATEGORIES = "a segment has one of the categories"
    STUFF = "an image has at most one segment of a stuff class"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """A rule that an archive breaks."""

    rule: Rule
    """The rule."""

    count: int
    """How often it is broken."""

    examples: tuple[str, ...]
    """The first cases, at most `MAX_EXAMPLES`, one sentence each."""


@dataclass(frozen=True, slots=True)
class Findings:
    """Broken rules so far."""

    counts: Counter[Rule] = field(default_factory=Counter)
    examples: dict[Rule, list[str]] = field(default_factory=dict)

    def add(self, rule: Rule, sentence: str) -> None:
        """Add a case."""
        self.counts[rule] += 1
        shown = self.examples.setdefault(rule, [])
        if len(shown) < MAX_EXAMPLES:
            shown.append(sentence)

    def faults(self) -> tuple[Fault, ...]:
        """Give each broken rule with its cases, in the order of the first ones."""
        return tuple(
            Fault(rule=rule, count=count, examples=tuple(self.examples[rule]))
            for rule, count in self.counts.items()
        )


_TITLE = re.compile(r"panoptic_.+_.+_results")
_NAMES = "panoptic_SPLIT_NAME_results.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Where an archive has what."""

    json: ZipInfo
    """The JSON file."""

    pngs: dict[str, ZipInfo]
    """By their paths inside the folder that is named like the JSON file."""


def read_layout(entries: Iterable[ZipInfo], findings: Findings) -> Layout | None:
    """Sort the files of an archive.

    Args:
        entries: The archive's directory.
        findings: Is told of every file that is out of place.

    Returns:
        Nothing if it isn't clear which one is the JSON file.
    """
    files = _files(entries, findings)
    tops = [name for name in files if "/" not in name and name.endswith(".json")]
    if len(tops) != 1:
        found = ", ".join(map(repr, tops[:MAX_EXAMPLES])) or "none"
        findings.add(Rule.LAYOUT, f"expected one JSON file outside any folder, found {found}")
        return None
    title = tops[0].removesuffix(".json")
    if not _TITLE.fullmatch(title):
        findings.add(Rule.NAMES, f"the JSON file is called {tops[0]!r}, expected {_NAMES}")
    layout = Layout(json=files.pop(tops[0]), pngs={})
    for name, entry in files.items():
        if name.startswith(f"{title}/") and name.endswith(".png"):
            layout.pngs[name.removeprefix(f"{title}/")] = entry
        else:
            findings.add(Rule.LAYOUT, f"{name!r} is no PNG in the folder {title!r}")
    return layout


def _files(entries: Iterable[ZipInfo], findings: Findings) -> dict[str, ZipInfo]:
    files: dict[str, ZipInfo] = {}
    for entry in entries:
        # The name that zipfile gives out is shortened and mended.
        name = entry.orig_filename
        if _escapes(name) or stat.S_ISLNK(entry.external_attr >> 16):
            findings.add(Rule.PATHS, f"{name!r} is no file inside the archive")
        elif name in files:
            findings.add(Rule.PATHS, f"{name!r} is there twice")
        elif not entry.is_dir():
            files[name] = entry
    return files


def _escapes(name: str) -> bool:
    try:
        json_fields.path_in(Path(), {"name": name}, "name")
    except ValueError:
        return True
    return False


Advance = Callable[[int, int], None]
"""Is told the number of things done and in total."""

_MAX_JSON = 2**30
_KEYS = ("annotations", "image_id", "file_name", "segments_info", "id", "category_id")
_UNREADABLE = (BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, zlib.error)
_HEADER = struct.Struct(">8s8xIIBB")
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB = (8, 2)


def check(
    archive: Path, wanted: ImageList, *, on_image: Advance | None = None
) -> tuple[Fault, ...]:
    """Find all that is wrong with an archive, whoever made it.

    Args:
        archive: The zip file. One map after the other is read from it.
        wanted: The images that it has to hold, and the classes to use.
        on_image: Is told the number of maps that are read and their total.

    Returns:
        The broken rules, none if the archive is right.

    Raises:
        OSError: If there is no such file.
    """
    findings = Findings()
    try:
        with ZipFile(archive) as file, TemporaryDirectory() as scratch:
            layout = read_layout(file.infolist(), findings)
            if layout is not None:
                png = Path(scratch, "map.png")
                _Check(file, layout, wanted, findings, png).run(on_image)
    except BadZipFile as error:
        findings.add(Rule.ZIP, f"it can't be read ({error})")
    return findings.faults()


@dataclass(frozen=True, slots=True)
class _Check:
    """A check of the JSON file and the PNGs of an archive."""

    file: ZipFile
    layout: Layout
    wanted: ImageList
    findings: Findings
    scratch: Path
    """File for the PNG that is being read."""
    owners: dict[str, ImageId] = field(default_factory=dict)
    """Images by the PNGs that they name."""
    seen: set[ImageId] = field(default_factory=set)

    def run(self, on_image: Advance | None) -> None:
        annotations = self._annotations()
        if annotations is None:
            return
        for number, values in enumerate(annotations):
            try:
                self._annotation(json_fields.entry(values))
            except ValueError as error:
                self.findings.add(Rule.ENTRIES, f"annotations[{number}]: {error}")
            if on_image is not None:
                on_image(number + 1, len(annotations))
        self._absent()

    def _absent(self) -> None:
        for image_id in self.wanted.images:
            if image_id not in self.seen:
                self.findings.add(Rule.IMAGES, f"image {image_id!r}: has no annotation")
        for name in self.layout.pngs:
            if name not in self.owners:
                self.findings.add(Rule.FILES, f"{name!r} is the PNG of no annotation")

    def _annotations(self) -> list[object] | None:
        if self.layout.json.file_size > _MAX_JSON:
            self.findings.add(Rule.JSON, f"the JSON file is larger than {_MAX_JSON:,} bytes")
            return None
        try:
            text = self.file.read(self.layout.json)
        except _UNREADABLE as error:
            self.findings.add(Rule.ZIP, f"the JSON file can't be read ({error})")
            return None
        try:
            return _strictly(text)
        except RecursionError:
            self.findings.add(Rule.JSON, "the JSON file: is nested too deeply")
        except ValueError as error:
            self.findings.add(Rule.JSON, f"the JSON file: {error}")
        return None

    def _annotation(self, values: Entry) -> None:
        image_id = json_fields.identity(values, "image_id")
        name = json_fields.text(values, "file_name")
        place = f"image {image_id!r}"
        image = self.wanted.images.get(image_id)
        if image is None:
            self.findings.add(Rule.IMAGES, f"{place}: is not in the list")
        elif image_id in self.seen:
            self.findings.add(Rule.IMAGES, f"{place}: has two annotations")
        self.seen.add(image_id)
        entry = self._own_png(place, name)
        self.owners.setdefault(name, image_id)
        segments = json_fields.each(values, "segments_info", _segment)
        self._classes(place, [category_id for _, category_id in segments])
        if entry is not None and image is not None:
            self._png(place, entry, image, [number for number, _ in segments])

    def _own_png(self, place: str, name: str) -> ZipInfo | None:
        entry = self.layout.pngs.get(name)
        if entry is None:
            self.findings.add(Rule.FILES, f"{place}: its PNG {name!r} is not in the folder")
        elif name in self.owners:
            first = self.owners[name]
            self.findings.add(Rule.FILES, f"{place}: {name!r} is the PNG of image {first!r}, too")
            return None
        return entry

    def _classes(self, place: str, category_ids: Iterable[CategoryId]) -> None:
        known = self.wanted.categories
        for category_id, times in Counter(category_ids).items():
            if category_id not in known:
                self.findings.add(Rule.CATEGORIES, f"{place}: has the category {category_id!r}")
            elif times > 1 and not known[known.label(category_id)].isthing:
                name = known[known.label(category_id)].name
                self.findings.add(Rule.STUFF, f"{place}: has {times} segments of {name!r}")

    def _png(self, place: str, entry: ZipInfo, image: ListedImage, listed: list[int]) -> None:
        height, width = image.size
        # Pixels that can't be compressed take less, so more would be no map.
        if entry.file_size > 8 * height * width + 2**20:
            self.findings.add(Rule.PNGS, f"{place}: its PNG has {entry.file_size:,} bytes")
            return
        try:
            content = self.file.read(entry)
        except _UNREADABLE as error:
            self.findings.add(Rule.ZIP, f"{place}: its PNG can't be read ({error})")
            return
        header = _HEADER.unpack(content[: _HEADER.size].ljust(_HEADER.size, b"\0"))
        signature, found_width, found_height, *kind = header
        if signature != _SIGNATURE or tuple(kind) != _RGB:
            self.findings.add(Rule.PNGS, f"{place}: its PNG has no 8-bit RGB pixels")
        elif (found_height, found_width) != image.size:
            sizes = f"{found_height}x{found_width} pixels, its photo {height}x{width}"
            self.findings.add(Rule.SIZES, f"{place}: its PNG has {sizes}")
        else:
            self.scratch.write_bytes(content)
            self._ids(place, listed)

    def _ids(self, place: str, listed: list[int]) -> None:
        try:
            ids = read_ids(self.scratch)
        except ValueError as error:
            self.findings.add(Rule.PNGS, f"{place}: its PNG {error}")
            return
        add = partial(self.findings.add, Rule.IDS)
        times = Counter(listed)
        for number in (number for number, count in times.items() if count > 1):
            add(f"{place}: segment {number} is listed {times[number]} times")
        try:
            _, areas = renumber(ids, list(times))
        except ValueError as error:
            add(f"{place}: {error}")
            return
        for number, area in zip(times, areas.tolist(), strict=True):
            if area == 0:
                add(f"{place}: segment {number} is listed, but owns no pixel")


def _segment(values: Entry) -> tuple[int, CategoryId]:
    number = json_fields.integer(values, "id", lowest=1, highest=MAX_ID)
    return number, json_fields.identity(values, "category_id")


def _strictly(text: bytes) -> list[object]:
    content = json.loads(
        text.decode("utf-8"),
        parse_constant=_refuse,
        parse_float=_finite,
        object_pairs_hook=_needed,
    )
    return json_fields.items(json_fields.entry(content), "annotations")


def _needed(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Keep of a JSON object what counts, so that large files take little memory."""
    keys = {key for key, _ in pairs}
    if len(keys) < len(pairs):
        raise ValueError(f"has an object in which a key occurs twice, among {sorted(keys)[:3]}")
    return {key: value for key, value in pairs if key in _KEYS}


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"holds {constant}, which is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"holds {text}, which no floating-point number can be")
    return number
