"""Maps of the finished frames of a clip, journaled so that an interrupted run can resume."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from jsisnet.categories import Categories
from jsisnet.checks import check_choice
from jsisnet.files.atomic import replacing
from jsisnet.files.journal import Journal, open_journal, purpose_of, refuse_other_files
from jsisnet.files.json_fields import Entry
from jsisnet.files.png import read_ids, write_ids
from jsisnet.formats import coco, masks
from jsisnet.formats.pixel_codes import renumber
from jsisnet.inference.written_files import delete, locked
from jsisnet.panoptic import PanopticMap, Segment

COCO, JSON_LINES = "coco", "jsonl"

FORMATS = (COCO, JSON_LINES)
"""Formats of the maps of a clip: a PNG per frame and one JSON file; or a line of JSON per frame."""

OVERLAY = "overlay.mp4"
"""Name of the annotated video."""

MAPS = "predictions"
"""Name of the folder of the PNGs, and stem of the file that describes the maps."""

JOURNAL = ".video.jsonl"
"""Name of the journal, which has a line per frame."""

_MAX_NAME = 255
"""Longest name of a file in bytes that file systems hold."""

_MOST_FRAMES = 10**9
"""More frames than a clip may have."""

_FINISHED = "finished"

_OTHER_RUN = (
    "holds results of another clip, model or settings; choose another folder, or start anew with "
    "--overwrite"
)


@dataclass(frozen=True, slots=True, eq=False)
class FrameMap:
    """The map of a frame."""

    panoptic: PanopticMap
    """Its segments, each with pixels."""

    ids: tuple[int, ...]
    """Id of each segment, which it has in all frames."""

    carried: bool = False
    """Whether the map is that of an earlier frame, moved on."""


@dataclass(slots=True)
class FrameStore:
    """Open folder of the results of a clip; see `open_store`."""

    folder: Path
    name: str
    """Name of the clip, with which those of its frames begin."""
    format: str
    categories: Categories
    journal: Journal
    _positions: dict[int, int] = field(default_factory=dict)
    """Lines of the finished frames."""

    @property
    def finished(self) -> Entry | None:
        """What `finish` noted, if nothing is left to do."""
        done = self.journal.finished
        return (
            done if done and all((self.folder / name).is_file() for name in _files(done)) else None
        )

    def __len__(self) -> int:
        return len(self._positions)

    def find(self) -> None:
        """Find the frames that are finished."""
        line: Any
        with self.journal.reading():
            for position, line in self.journal.positions():
                if "frame" in line and self._exists(int(line["frame"])):
                    self._positions[int(line["frame"])] = position

    def read(self, index: int, size: tuple[int, int]) -> FrameMap | None:
        """Read the map of a frame, or return ``None`` if it is to be segmented."""
        if index not in self._positions:
            return None
        (line,) = self.journal.read([self._positions[index]])
        with suppress(ValueError, KeyError, TypeError, OSError):
            found = self._parsed(line)
            if found.panoptic.size == size:
                return found
        del self._positions[index]
        return None

    def add(self, index: int, time: float, frame: FrameMap) -> None:
        """Write the map of a frame, and note that it is finished."""
        if index in self._positions:
            return
        described = coco.segments_info(frame.panoptic, self.categories)
        entry: dict[str, Any] = {"frame": index, "time": round(time, 6), "carried": frame.carried}
        entry["height"], entry["width"] = frame.panoptic.size
        if self.format == COCO:
            table = np.array([0, *frame.ids], np.uint32)
            write_ids(
                table.take(frame.panoptic.ids), self.folder / MAPS / f"{self._stem(index)}.png"
            )
        else:
            runs = _run_lengths(frame.panoptic, described)
            names = [self.categories[each.label].name for each in frame.panoptic.segments]
            for segment, name, counts in zip(described, names, runs, strict=True):
                segment |= {"name": name, "segmentation": counts}
        for segment, id_ in zip(described, frame.ids, strict=True):
            segment["id"] = id_
        self._positions[index] = self.journal.add({**entry, "segments": described})

    def finish(self, names: Sequence[str], problems: Sequence[str]) -> None:
        """Describe the maps, and note that nothing is left to do.

        Args:
            names: Other files of the folder that belong to the result.
            problems: What was wrong with the clip.
        """
        described = self.describe()
        noted = {"files": [described, *names], "frames": len(self), "problems": list(problems)}
        self.journal.add({_FINISHED: noted})

    def describe(self) -> str:
        """Write the file that describes the maps of all finished frames, and return its name."""
        lines = self.journal.read(position for _, position in sorted(self._positions.items()))
        if self.format == JSON_LINES:
            return self._write_lines(lines)
        path = self.folder / f"{MAPS}.json"
        line: Any
        with coco.writing(path, self.categories) as writer:
            for line in lines:
                stem = self._stem(line["frame"])
                size = line["height"], line["width"]
                writer.note(line["segments"], image_id=stem, image_name=f"{stem}.jpg", size=size)
        return path.name

    def _write_lines(self, lines: Iterator[Entry]) -> str:
        path = self.folder / f"{MAPS}.jsonl"
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        return path.name

    def close(self) -> None:
        """Delete the journal if there is nothing to resume."""
        if not self._positions:
            self.journal.file.close()
            self.journal.path.unlink()

    def _exists(self, index: int) -> bool:
        return self.format != COCO or self._png(index).is_file()

    def _png(self, index: int) -> Path:
        return self.folder / MAPS / f"{self._stem(index)}.png"

    def _stem(self, index: int) -> str:
        return f"{self.name}_{index:06}"

    def _parsed(self, line: Any) -> FrameMap:  # noqa: ANN401 - checked by what reads it
        segments, ids = [], []
        for each in line["segments"]:
            label = self.categories.label(each["category_id"])
            score = each.get("score")
            segments.append(Segment(label=label, isthing=bool(each["isthing"]), score=score))
            ids.append(int(each["id"]))
        if self.format == COCO:
            stored = read_ids(self._png(line["frame"]))
            pixels, _ = renumber(stored, ids)
        else:
            pixels = np.zeros((line["height"], line["width"]), np.int32)
            for number, each in enumerate(line["segments"], 1):
                window, mask = masks.draw(each["segmentation"])
                pixels[window][mask] = number
        return FrameMap(PanopticMap(pixels, tuple(segments)), tuple(ids), bool(line["carried"]))


def fits(name: str, format: str) -> bool:
    """Return whether file systems can hold the names of the results of a clip."""
    longest = f"{name}_{_MOST_FRAMES - 1}.png" if format == COCO else name
    return len(os.fsencode(longest)) <= _MAX_NAME


@contextmanager
def open_store(
    folder: Path,
    name: str,
    format: str,
    categories: Categories,
    *,
    purpose: str,
    overwrite: bool = False,
) -> Iterator[FrameStore]:
    """Lock the folder of the results of a clip, and start its journal or resume it.

    Args:
        folder: Folder of this clip alone; created if it does not exist.
        name: Name of the clip.
        format: One of the `FORMATS`.
        categories: Classes of the maps.
        purpose: Identifies clip, model and settings; results of others must not be mixed.
        overwrite: Whether to delete the results of an earlier run first.

    Raises:
        ValueError: If another process is writing to the folder, or it holds other files or results.
    """
    check_choice("format", format, FORMATS)
    path = folder / JOURNAL
    refuse_other_files(path)
    with (
        locked(folder),
        open_journal(path, purpose, restart=overwrite, refusal=_OTHER_RUN, lock=None) as journal,
    ):
        store = FrameStore(folder, name, format, categories, journal)
        if overwrite:
            _discard(store)
        else:
            store.find()
        try:
            yield store
        finally:
            store.close()


def is_interrupted(folder: Path, purpose: str) -> bool:
    """Return whether a folder holds unfinished results of this purpose."""
    path = folder / JOURNAL
    if purpose_of(path) != purpose:
        return False
    try:
        with open_journal(path, purpose) as journal:
            return journal.finished is None
    except ValueError:  # another process is writing to it
        return False


def _discard(store: FrameStore) -> None:
    """Delete the results of an earlier run, which are all that the folder may hold."""
    store.journal.rewrite([])
    store.journal.finished = None
    delete(store.folder, [OVERLAY, f"{MAPS}.json", f"{MAPS}.jsonl"])
    maps = store.folder / MAPS
    if maps.is_dir() and not maps.is_symlink():
        delete(store.folder, [f"{MAPS}/{path.name}" for path in maps.glob("*.png")])


def _files(done: Any) -> list[str]:  # noqa: ANN401 - as `finish` wrote it
    return [str(name) for name in done.get("files", [])]


def _run_lengths(
    panoptic: PanopticMap, described: Sequence[dict[str, Any]]
) -> list[dict[str, object]]:
    runs = []
    for number, each in enumerate(described, 1):
        left, _, width, _ = each["bbox"]
        pixels = panoptic.ids[:, left : left + width] == number
        runs.append(masks.compressed_columns(pixels, left, panoptic.size[1]))
    return runs
