"""Folder of the results of a run, with a journal of the photos that are done."""

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from jsisnet.categories import Categories
from jsisnet.files import json_fields
from jsisnet.files.journal import Journal, open_journal, purpose_of
from jsisnet.formats import coco
from jsisnet.inference.photo_files import Photo
from jsisnet.inference.written_files import delete

PREDICTIONS = "predictions.json"
"""Name of the COCO panoptic file."""

JOURNAL = ".predict.jsonl"
"""Name of the journal, which has a line per photo."""

_FINISHED, _CLAIMED = "finished", "claimed"
"""Keys of other lines: all photos are done; results that are about to be written."""

_OTHER_RUN = (
    "holds results of another model, settings or formats; choose another folder, or start anew "
    "with --overwrite"
)


@dataclass(slots=True)
class ResultsFolder:
    """Open folder of results; it may be used by several threads at once."""

    folder: Path
    photos: Sequence[Photo]
    """Photos of the run."""

    journal: Journal
    replaces: bool = False
    """Whether files with the names of results may be replaced: they are those of an earlier run, or
    it is the user's wish. Beside the photos only those that the journal names may be."""

    _positions: dict[str, int] = field(default_factory=dict)
    """Lines of the photos that are done, by name. A photo that is moved or changed during the run
    remains one of them."""

    _lock: threading.Lock = field(default_factory=threading.Lock)

    def done(self, haswritten: Callable[[str], bool] = lambda _: True) -> set[str]:
        """Find the photos whose results are complete, and return their names.

        Args:
            haswritten: Whether all files outside this folder exist of a photo with a file name.

        Raises:
            ValueError: If there are results of other photos.
        """
        self._positions = self._found(haswritten)
        return set(self._positions)

    def claim(self, results: Sequence[str]) -> None:
        """Check that results which are to be written replace no file of the user, and note them.

        The COCO file goes first if maps that it describes are to be replaced.

        Args:
            results: Paths inside the folder.

        Raises:
            ValueError: If a result would overwrite a photo, or a file that no earlier run has
                written.
        """
        inputs = _files(self.photos)
        isbeside = self.folder.resolve() in {path.parent for path in inputs}
        ours = set(_results(self.journal))
        free = self.replaces and not isbeside
        for name in results:
            path = self.folder / name
            if path.resolve() in inputs:
                raise ValueError(f"{path} is one of the photos to segment; choose another folder")
            if not free and name not in ours and path.is_file():
                place = " in the folder of the photos" if isbeside else ""
                remedy = "" if isbeside else ", or replace it with --overwrite"
                raise ValueError(
                    f"{path} is a file{place} that no earlier run has written, and would be "
                    f"overwritten; choose another folder{remedy}"
                )
        if not ours.issuperset(results):
            self.journal.add({_CLAIMED: list(results)})
        maps = (name for name in results if name != PREDICTIONS)
        if PREDICTIONS in results and any((self.folder / name).is_file() for name in maps):
            (self.folder / PREDICTIONS).unlink(missing_ok=True)

    def add(self, entry: json_fields.Entry) -> None:
        """Note that the results of a photo are complete."""
        with self._lock:
            self._positions[str(entry["name"])] = self.journal.add(entry)

    def entries(self) -> Iterator[dict[str, Any]]:
        """Read the entries of the photos that are done, in the order of the photos."""
        positions = self._positions
        return self.journal.read(  # type: ignore[return-value]  # as `add` wrote them
            positions[photo.name] for photo in self.photos if photo.name in positions
        )

    def describe(self, categories: Categories) -> None:
        """Write the COCO panoptic file of all maps, in the order of the photos."""
        path = self.folder / PREDICTIONS
        with coco.writing(path, categories, pngs=self.folder) as writer:
            for entry in self.entries():
                writer.note(
                    entry["segments_info"],
                    image_id=entry["name"],
                    image_name=entry["file_name"],
                    size=(entry["height"], entry["width"]),
                )

    def finish(self) -> None:
        """Sort the journal by the order of the photos, and note that nothing is left to do."""
        self.clean(self.entries())
        described = [PREDICTIONS] if (self.folder / PREDICTIONS).is_file() else []
        last = {_FINISHED: True, "files": described}
        self.journal.rewrite(chain(self.entries(), [last]))

    def clean(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Delete results of other photos than those of `entries`."""
        ours = set(_results(self.journal))
        kept = set(_results(entries))
        described = {PREDICTIONS} if kept else set()
        delete(self.folder, ours - kept - described, _files(self.photos))

    def close(self) -> None:
        """Delete what belongs to no finished photo, and the journal if there is none."""
        self.clean(line for line in self.journal if "name" in line)
        if not any("name" in line for line in self.journal):
            self.journal.file.close()
            self.journal.path.unlink()

    def _found(self, haswritten: Callable[[str], bool]) -> dict[str, int]:
        """Return the lines of the photos that are done, by name."""
        stamps = {photo.name: photo.stamp() for photo in self.photos}
        places = {stamp[0] for stamp in stamps.values()}
        positions = {}
        line: Any  # as `add` wrote it
        for position, line in self.journal.positions():
            if "name" not in line:
                continue
            if line["stamp"][0] not in places:
                raise ValueError(
                    f"{self.folder}: holds results of other photos, such as {line['stamp'][0]}; "
                    "choose another folder, or start anew with --overwrite"
                )
            exist = all((self.folder / name).is_file() for name in line["files"])
            exist = exist and haswritten(line["file_name"])
            if exist and line["stamp"] == stamps.get(line["name"]):
                positions[line["name"]] = position
        return positions


@contextmanager
def open_results(
    folder: Path, purpose: str, photos: Sequence[Photo], *, overwrite: bool = False
) -> Iterator[ResultsFolder]:
    """Start the journal of a folder of results, or resume it.

    Args:
        folder: The folder, which must be locked.
        purpose: Identifies the model and the settings; results of others must not be mixed.
        photos: Photos of the run.
        overwrite: Whether to delete the results of earlier runs first.

    Raises:
        ValueError: If the folder has another purpose, or is damaged.
    """
    path = folder / JOURNAL
    replaces = overwrite or path.exists()
    if overwrite:
        _discard(path, photos)
    with open_journal(path, purpose, restart=overwrite, refusal=_OTHER_RUN, lock=None) as journal:
        _check(journal)
        results = ResultsFolder(folder, photos, journal, replaces)
        results.clean(line for line in journal if "name" in line)
        try:
            yield results
        finally:
            results.close()


def read_entries(folder: Path) -> Iterator[Mapping[str, Any]]:
    """Read what a finished run noted of each photo, in the order of the photos."""
    return (line for line in _lines(folder / JOURNAL) if "name" in line)


def results_in(folder: Path) -> set[Path]:
    """Return the files that earlier runs have written to a folder, or were about to write."""
    found = set()
    with suppress(ValueError, TypeError, AttributeError):  # `open_results` says what is damaged
        for name in _results(_lines(folder / JOURNAL)):
            found.add((folder / name).resolve())
    return found


def is_unfinished(folder: Path, purpose: str, photos: Sequence[Photo]) -> bool:
    """Return whether a folder holds an interrupted run of this purpose, and no other photos."""
    path = folder / JOURNAL
    if purpose_of(path) != purpose:
        return False
    places = {photo.stamp()[0] for photo in photos}
    lines: list[dict[str, Any]]
    try:
        with open_journal(path, purpose) as journal:
            _check(journal)
            lines = list(journal)  # type: ignore[arg-type]  # as `add` wrote them
    except ValueError:  # damaged, or another process is writing to it
        return False
    finished = bool(lines) and _FINISHED in lines[-1]
    return not finished and all(line["stamp"][0] in places for line in lines if "name" in line)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """Read the lines of a journal that may belong to a running process."""
    with suppress(OSError, ValueError, RecursionError):
        if purpose_of(path) is None:
            return
        with path.open("rb") as file:
            next(file, None)
            for line in file:
                yield json.loads(line)


def _results(lines: Iterable[Mapping[str, Any]] | Journal) -> Iterator[str]:
    line: Any
    for line in lines:
        yield from line.get("files", line.get(_CLAIMED, []))


def _files(photos: Sequence[Photo]) -> set[Path]:
    return {photo.file.resolve() for photo in photos if photo.file is not None}


def _check(journal: Journal) -> None:
    """Check the lines of a journal.

    Raises:
        ValueError: If it is damaged, or names files outside its folder.
    """
    try:
        line: Any
        for line in journal:
            for key in line.keys() & {"files", _CLAIMED}:
                for name in json_fields.strings(line, key):
                    json_fields.path_in(journal.path.parent, {"file": name}, "file")
            if "name" in line:
                _check_photo(line)
    except (ValueError, AttributeError, IndexError) as error:
        raise ValueError(f"{journal.path}: damaged; start anew with --overwrite") from error


def _check_photo(line: json_fields.Entry) -> None:
    place = json_fields.items(line, "stamp")[0]
    if not isinstance(place, str):
        raise ValueError(f"the stamp starts with {place!r}; expected a path")
    for key in ("name", "file_name"):
        json_fields.string(line, key)
    for key in ("height", "width"):
        json_fields.integer(line, key, lowest=1)
    json_fields.strings(line, "files")
    for key in ("id", "category_id"):
        json_fields.each(line, "segments_info", partial(json_fields.identity, key=key))


def _discard(path: Path, photos: Sequence[Photo]) -> None:
    """Delete the results of earlier runs, except photos that are to be segmented."""
    purpose = purpose_of(path)
    if purpose is None:
        return
    with open_journal(path, purpose, lock=None) as journal:
        with suppress(ValueError):  # nothing that a damaged journal names is deleted
            _check(journal)
            # What describes the others goes first.
            names = sorted(set(_results(journal)), key=lambda name: name != PREDICTIONS)
            delete(path.parent, names, _files(photos))
        journal.rewrite([])
