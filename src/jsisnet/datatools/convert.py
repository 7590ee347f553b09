"""Conversion of data sets between formats, map by map."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path, PurePosixPath

from jsisnet.categories import Categories
from jsisnet.files import atomic, journal, json_fields
from jsisnet.files.atomic import remove_leftovers
from jsisnet.files.journal import Journal
from jsisnet.files.json_fields import Entry
from jsisnet.files.photos import read_header
from jsisnet.files.processes import in_order
from jsisnet.formats import categories_json as category_entries
from jsisnet.formats.map_index import map_stem
from jsisnet.formats.records import EMPTY, Record, Source, Target, istransposed, size_text
from jsisnet.panoptic import PanopticMap

_JOURNAL = "unfinished.jsonl"

_SWAPPED = "images are listed with height and width swapped; the size of the files counts"
_MISSING = "photos do not exist"
_UNREADABLE = "photos can't be read"


def convert(
    source: Source,
    target: Target,
    *,
    processes: int = 1,
    on_image: Callable[[int, int], None] = lambda *_: None,
    on_warning: Callable[[str], None] = lambda _: None,
) -> Mapping[str, int]:
    """Write the maps of a source in the format of a target.

    Finished maps are recorded in a journal, so that an interrupted conversion resumes when it is
    repeated. The index appears last.

    Args:
        source: Data set to read.
        target: Data set to write; its classes are those of `source`, perhaps with other ids.
        processes: Number of worker processes.
        on_image: Called with the numbers of images done and in total.
        on_warning: Called at the end with what is odd about the photos, if their folder is known.

    Returns:
        Number of items that the target format could not hold, by kind.

    Raises:
        ValueError: If a map is damaged or does not fit the format, two maps would have one name, or
            the folder holds other files.
    """
    _refuse_shared_maps(source.records)
    journal.refuse_other_files(target.folder / _JOURNAL)
    total = len(source.records)
    with journal.open_journal(target.folder / _JOURNAL, _purpose(source, target)) as finished:
        for left in {path.parent for path in target.folder.rglob(".*.part")}:
            remove_leftovers(left)
        on_image(finished.count, total)
        rest = source.records[finished.count :]
        for line in in_order(_MapConverter(records=rest, target=target), len(rest), processes):
            finished.add(line)
            on_image(finished.count, total)
        lost = _count_lost(finished)
        for warning in _describe_oddities(finished):
            on_warning(warning)
        if target.instances is not None:
            _write_instances(finished, target, target.folder / target.instances)
        _write_index(finished, target, target.folder / target.index)
    finished.path.unlink()
    return lost


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
            "odd": _find_oddities(record, panoptic.size),
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
    """Return a hash that differs for other images, classes or formats."""
    described = {
        "target": target.write_map.__module__,
        "classes": [asdict(c) for s in (source, target) for c in s.categories],
        "images": [[record.image_id, record.name] for record in source.records],
        "crowds": not any(isinstance(record.read, _WithoutCrowds) for record in source.records),
    }
    return sha256(json.dumps(described).encode()).hexdigest()


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


def _write_index(finished: Journal, target: Target, path: Path) -> None:
    annotations = (
        {
            "image_id": json_fields.entry(line["image"])["id"],
            **json_fields.entry(line["annotation"]),
        }
        for line in finished
        if line["annotation"] is not None
    )
    _write_json(path, finished, annotations, target.categories)


def _write_instances(finished: Journal, target: Target, path: Path) -> None:
    things = (
        {"image_id": json_fields.entry(line["image"])["id"], **json_fields.entry(thing)}
        for line in finished
        for thing in json_fields.items(line, "instances")
    )
    numbered = ({"id": number, **thing} for number, thing in enumerate(things, 1))
    classes = Categories(tuple(c for c in target.categories if c.isthing))
    _write_json(path, finished, numbered, classes)


def _write_json(
    path: Path, finished: Journal, annotations: Iterable[Entry], categories: Categories
) -> None:
    images = (json_fields.entry(line["image"]) for line in finished)
    classes = {"categories": category_entries.entries(categories)}
    atomic.write_json(path, classes, {"images": images, "annotations": annotations})
