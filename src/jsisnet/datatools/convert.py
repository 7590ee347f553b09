"""Data sets from one format to another, map by map."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from jsisnet.categories import Categories
from jsisnet.files import atomic, journal, json_fields
from jsisnet.files.atomic import remove_leftovers
from jsisnet.files.journal import Journal
from jsisnet.files.json_fields import Entry
from jsisnet.files.processes import in_order
from jsisnet.formats import categories_json as category_entries
from jsisnet.formats.map_index import map_stem
from jsisnet.formats.records import EMPTY, Record, Source, Target, size_text
from jsisnet.panoptic import PanopticMap

_JOURNAL = "unfinished.jsonl"


def convert(
    source: Source,
    target: Target,
    *,
    processes: int = 1,
    on_image: Callable[[int, int], None] = lambda *_: None,
) -> Mapping[str, int]:
    """Write the maps of a source in the format of a target.

    Each map is kept as soon as it is done. A run that was stopped or killed goes on when it is
    repeated; the index appears last.

    Args:
        source: What to read.
        target: What to write; its classes are those of `source`, perhaps with other ids.
        processes: How many share the work.
        on_image: Is told the numbers of images done and in total.

    Returns:
        How much of each kind the format could not hold.

    Raises:
        ValueError: If a map is damaged or can't be held, two would get the same name, or the folder
            holds anything else.
    """
    _refuse_shared_maps(source.records)
    journal.refuse_other_files(target.folder / _JOURNAL)
    total = len(source.records)
    with journal.open_journal(target.folder / _JOURNAL, _purpose(source, target)) as done:
        for left in {path.parent for path in target.folder.rglob(".*.part")}:
            remove_leftovers(left)
        on_image(done.count, total)
        rest = source.records[done.count :]
        for line in in_order(_Work(records=rest, target=target), len(rest), processes):
            done.add(line)
            on_image(done.count, total)
        lost = _lost(done)
        if target.instances is not None:
            _write_instances(done, target, target.folder / target.instances)
        _write_index(done, target, target.folder / target.index)
    done.path.unlink()
    return lost


@dataclass(frozen=True, kw_only=True, slots=True)
class _Work:
    """Reads maps and writes them."""

    records: tuple[Record, ...]
    target: Target

    def __call__(self, rank: int, workers: int) -> Iterator[Entry]:
        for record in self.records[rank::workers]:
            yield self._converted(record)

    def _converted(self, record: Record) -> Entry:
        panoptic = record.read()
        if record.size not in (None, panoptic.size):
            raise ValueError(
                f"image {record.image_id!r}: its map is {size_text(panoptic.size)} pixels, "
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
        }


def _refuse_shared_maps(records: Sequence[Record]) -> None:
    maps: dict[str, Record] = {}
    ids: set[int | str] = set()
    for record in records:
        other = maps.setdefault(map_stem(record.name), record)
        if other is not record:
            raise ValueError(
                f"images {other.image_id!r} and {record.image_id!r} would share a map: their "
                f"photos are {other.name} and {record.name}"
            )
        if record.image_id in ids:
            raise ValueError(f"image {record.image_id!r} is there twice")
        ids.add(record.image_id)


def _purpose(source: Source, target: Target) -> str:
    """Give a text that differs for other images, classes or formats."""
    described = {
        "target": target.write_map.__module__,
        "classes": [asdict(c) for s in (source, target) for c in s.categories],
        "images": [[record.image_id, record.name] for record in source.records],
    }
    return sha256(json.dumps(described).encode()).hexdigest()


def _lost(lines: Iterable[Entry]) -> Mapping[str, int]:
    total: Counter[str] = Counter()
    for line in lines:
        total.update(line["lost"])  # type: ignore[call-overload]  # written here, above
    return +total


def _write_index(done: Journal, target: Target, path: Path) -> None:
    annotations = (
        {
            "image_id": json_fields.entry(line["image"])["id"],
            **json_fields.entry(line["annotation"]),
        }
        for line in done
        if line["annotation"] is not None
    )
    _write(path, done, annotations, target.categories)


def _write_instances(done: Journal, target: Target, path: Path) -> None:
    things = (
        {"image_id": json_fields.entry(line["image"])["id"], **json_fields.entry(thing)}
        for line in done
        for thing in json_fields.items(line, "instances")
    )
    numbered = ({"id": number, **thing} for number, thing in enumerate(things, 1))
    classes = Categories(tuple(c for c in target.categories if c.isthing))
    _write(path, done, numbered, classes)


def _write(path: Path, done: Journal, annotations: Iterable[Entry], categories: Categories) -> None:
    images = (json_fields.entry(line["image"]) for line in done)
    classes = {"categories": category_entries.entries(categories)}
    atomic.write_json(path, classes, {"images": images, "annotations": annotations})
