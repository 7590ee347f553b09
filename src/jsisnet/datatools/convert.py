"""Conversion of data sets between formats, map by map."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from jsisnet.categories import Categories
from jsisnet.files import atomic, journal, json_fields
from jsisnet.files.journal import Journal
from jsisnet.files.json_fields import Entry
from jsisnet.files.photos import read_header
from jsisnet.files.processes import in_order
from jsisnet.files.stamps import Stamp, stamps
from jsisnet.formats import categories_json as category_entries
from jsisnet.formats.map_index import map_stem
from jsisnet.formats.records import EMPTY, Record, Source, Target, istransposed, size_text
from jsisnet.panoptic import PanopticMap

_SWAPPED = "images are listed with height and width swapped; the size of the files counts"
_MISSING = "photos do not exist"
_UNREADABLE = "photos can't be read"


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversion:
    """Outcome of a conversion."""

    lost: Mapping[str, int]
    """Number of items that the target format could not hold, by kind."""

    isrepeated: bool = False
    """Whether it was complete already, so that nothing was done."""


def convert(
    source: Source,
    target: Target,
    *,
    processes: int = 1,
    on_image: Callable[[int, int], None] = lambda *_: None,
    on_warning: Callable[[str], None] = lambda _: None,
) -> Conversion:
    """Write the maps of a source in the format of a target.

    Finished maps are recorded in a journal, so that an interrupted conversion resumes when it is
    repeated; maps whose files have changed since are converted again. The index appears last. What
    remains of the journal shows that the conversion is complete, so that nothing is done when it is
    repeated once more.

    Args:
        source: Data set to read.
        target: Data set to write; its classes are those of `source`, perhaps with other ids.
        processes: Number of worker processes.
        on_image: Called with the numbers of images done and in total.
        on_warning: Called at the end with what is odd about the photos, if their folder is known.

    Returns:
        What was lost, and whether anything was done.

    Raises:
        ValueError: If a map is damaged or does not fit the format, two maps would have one name, or
            the folder holds other files, or the result of other inputs.
    """
    _refuse_shared_maps(source.records)
    path = target.folder / journal.JOURNAL
    journal.refuse_other_files(path)
    with journal.open_journal(path, _purpose(source, target)) as lines:
        inputs = _digest_inputs(source)
        before: Any = lines.finished  # as `finish` noted, below
        if before is not None:
            with lines.reading():
                if _is_complete(before, inputs, target.folder):
                    return Conversion(lost=before["lost"], isrepeated=True)
            lines.rewrite([])
        (target.folder / target.index).unlink(missing_ok=True)
        entries = _Entries(lines, source.records, target.folder)
        for _ in entries.complete(target, processes):
            on_image(len(entries.positions), len(source.records))
        lost = _count_lost(entries)
        for warning in _describe_oddities(entries):
            on_warning(warning)
        if target.instances is not None:
            _write_instances(entries, target, target.folder / target.instances)
        _write_index(entries, target, target.folder / target.index)
        lines.finish({"lost": lost, "inputs": inputs, "files": _files_in(target.folder)})
    return Conversion(lost=lost)


@dataclass
class _Entries:
    """Lines of the maps that are done; iterating reads them in the order of the records."""

    lines: Journal
    records: Sequence[Record]
    folder: Path
    positions: dict[int, int] = field(default_factory=dict)
    """Positions of the lines in the journal, by the number of the record."""

    def __post_init__(self) -> None:
        """Find the maps that still exist, and whose files are those that were converted."""
        with self.lines.reading():
            for position, line in self.lines.positions():
                number = json_fields.integer(line, "number", highest=len(self.records) - 1)
                unchanged = line["stamps"] == _stamps(self.records[number])
                if unchanged and _exist(json_fields.strings(line, "files"), self.folder):
                    self.positions[number] = position

    def complete(self, target: Target, processes: int) -> Iterator[None]:
        """Convert the other maps, and yield after each one, and at the start."""
        yield
        rest = [n for n in range(len(self.records)) if n not in self.positions]
        share = _MapConverter(records=tuple(self.records[n] for n in rest), target=target)
        for number, line in zip(rest, in_order(share, len(rest), processes), strict=True):
            self.positions[number] = self.lines.add({"number": number, **line})
            yield

    def __iter__(self) -> Iterator[Entry]:
        return self.lines.read(self.positions[n] for n in range(len(self.records)))


def _stamps(record: Record) -> list[Stamp]:
    return stamps((*record.maps, record.image))


def _digest_inputs(source: Source) -> str:
    digest = sha256()
    for record in source.records:
        digest.update(json.dumps(_stamps(record)).encode())
    return digest.hexdigest()


def _is_complete(before: Entry, inputs: str, folder: Path) -> bool:
    """Return whether a conversion was of the same files, and all that it wrote is there."""
    return before["inputs"] == inputs and _exist(json_fields.strings(before, "files"), folder)


def _exist(names: Iterable[str], folder: Path) -> bool:
    return all((folder / name).is_file() for name in names)


def _files_in(folder: Path) -> list[str]:
    """Return the paths of all files below a folder that was empty before."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in found if not path.name.startswith("."))


def without_crowds(source: Source) -> Source:
    """Return the source with each crowd region as one thing."""
    records = (replace(r, read=_WithoutCrowds(r.read)) for r in source.records)
    return replace(source, records=tuple(records))


@dataclass(frozen=True, slots=True)
class _WithoutCrowds:
    """Reads a map, in which no segment is a crowd then."""

    read: Callable[[], PanopticMap]

    def __call__(self) -> PanopticMap:
        panoptic = self.read()
        segments = (replace(segment, iscrowd=False) for segment in panoptic.segments)
        return PanopticMap(panoptic.ids, tuple(segments))


@dataclass(frozen=True, kw_only=True, slots=True)
class _MapConverter:
    """Reads and writes some of the maps in a worker process."""

    records: tuple[Record, ...]
    target: Target

    def __call__(self, numbers: Iterable[int]) -> Iterator[Entry]:
        for number in numbers:
            yield self._convert(self.records[number])

    def _convert(self, record: Record) -> Entry:
        before = _stamps(record)
        panoptic = record.read()
        if record.size not in (None, panoptic.size, panoptic.size[::-1]):
            raise ValueError(
                f"image {record.image_id!r}: its map is {size_text(panoptic.size)} pixels; "
                f"expected {size_text(record.size)}"
            )
        compact = PanopticMap.compact(panoptic.ids, panoptic.segments)
        try:
            written = self.target.write(compact, map_stem(record.name))
        except ValueError as error:
            raise ValueError(f"image {record.image_id!r}: {error}") from None
        empty = len(panoptic.segments) - len(compact.segments)
        height, width = compact.size
        size = {"height": height, "width": width}
        return {
            "image": {"id": record.image_id, "file_name": record.name, **size},
            "annotation": written.annotation,
            "instances": written.instances,
            "lost": {**written.lost, EMPTY: empty},
            "files": written.files,
            "odd": _find_oddities(record, panoptic.size),
            "stamps": before,
        }


def _find_oddities(record: Record, size: tuple[int, int]) -> dict[str, str]:
    """Return an example by each kind of oddity of an image.

    Raises:
        ValueError: If its photo has another size than its map.
    """
    header = None if record.image is None else read_header(record.image)
    if header is not None and header.size != size:
        cause = "; EXIF turns it, so save it upright, without EXIF" if header.isturned else ""
        raise ValueError(
            f"image {record.image_id!r}: its map is {size_text(size)} pixels, but "
            f"{record.image} is {size_text(header.size)}{cause}"
        )
    odd = {_SWAPPED: record.name} if istransposed(record.size, size) else {}
    if record.image is not None and header is None and _isunpacked(record, record.image):
        odd[_UNREADABLE if record.image.exists() else _MISSING] = str(record.image)
    return odd


def _refuse_shared_maps(records: Sequence[Record]) -> None:
    maps: dict[str, Record] = {}
    ids: set[int | str] = set()
    for record in records:
        other = maps.setdefault(map_stem(record.name), record)
        if other is not record:
            raise ValueError(
                f"images {other.image_id!r} and {record.image_id!r} would share a map, since their "
                f"photos are called {other.name} and {record.name}"
            )
        if record.image_id in ids:
            raise ValueError(f"duplicate image id {record.image_id!r}")
        ids.add(record.image_id)


def _purpose(source: Source, target: Target) -> str:
    """Return a hash that differs for another source, other classes or another format."""
    described = source.digest(), target.write_map.__module__, target.categories.items
    return sha256(repr(described).encode()).hexdigest()


def _count_lost(lines: Iterable[Entry]) -> Mapping[str, int]:
    total: Counter[str] = Counter()
    for line in lines:
        total.update(line["lost"])  # type: ignore[call-overload]  # written here, above
    return +total


def _isunpacked(record: Record, image: Path) -> bool:
    """Whether the folder of the photos exists; data sets may be unpacked without it."""
    return image.parents[len(PurePosixPath(record.name).parts) - 1].is_dir()


def _describe_oddities(lines: Iterable[Entry]) -> Iterator[str]:
    examples: dict[str, str] = {}
    counts: Counter[str] = Counter()
    total = 0
    for line in lines:
        odd = json_fields.entry(line.get("odd", {}))
        for kind, example in odd.items():
            examples.setdefault(kind, str(example))
        counts.update(odd.keys())
        total += 1
    for kind, example in examples.items():
        yield f"{counts[kind]:,} of {total:,} {kind}, such as {example}"


def _write_index(finished: Iterable[Entry], target: Target, path: Path) -> None:
    annotations = (
        {
            "image_id": json_fields.entry(line["image"])["id"],
            **json_fields.entry(line["annotation"]),
        }
        for line in finished
        if line["annotation"] is not None
    )
    _write_json(path, finished, annotations, target.categories)


def _write_instances(finished: Iterable[Entry], target: Target, path: Path) -> None:
    things = (
        {"image_id": json_fields.entry(line["image"])["id"], **json_fields.entry(thing)}
        for line in finished
        for thing in json_fields.items(line, "instances")
    )
    numbered = ({"id": number, **thing} for number, thing in enumerate(things, 1))
    classes = Categories(tuple(c for c in target.categories if c.isthing))
    _write_json(path, finished, numbered, classes)


def _write_json(
    path: Path, finished: Iterable[Entry], annotations: Iterable[Entry], categories: Categories
) -> None:
    images = (json_fields.entry(line["image"]) for line in finished)
    classes = {"categories": category_entries.entries(categories)}
    atomic.write_json(path, classes, {"images": images, "annotations": annotations})
