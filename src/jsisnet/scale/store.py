"""Photos and results in object stores."""

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jsisnet.files.photos import has_photo_suffix
from jsisnet.files.remote import RemoteFile, naming, open_store, remote_file
from jsisnet.inference.batch import BatchConfig, Listener, Summary, purpose_of_run
from jsisnet.inference.photo_files import Photo
from jsisnet.inference.photo_job import COCO, Item, Outcome, PhotoJob
from jsisnet.inference.predictor import Predictor
from jsisnet.inference.results_folder import PREDICTIONS, open_results

RUN = ".predict.json"
"""Name of the file that identifies the run a folder belongs to."""

NOTES = ".predict"
"""Name of the folder with a note of each photo whose files are complete."""

_READERS = 16
"""Files that are read at a time."""

_PATTERN = frozenset("*?[")


def find_stored(url: str) -> Iterator[RemoteFile]:
    """Find the photos at a URL: a file, those directly in a folder, or those of a pattern.

    Raises:
        ImportError: If fsspec is not installed.
        ValueError: If the store can't be read.
    """
    system, path = open_store(url)
    with naming(url):
        if _PATTERN & set(path):
            found = system.glob(path, detail=True).values()
        elif system.isdir(path):
            listed = system.ls(path, detail=True)
            found = (info for info in listed if has_photo_suffix(Path(info["name"])))
        else:
            found = [system.info(path)]
        files = [remote_file(system, info) for info in found if info["type"] == "file"]
    yield from sorted((file for file in files if file.name[:1] != "."), key=lambda file: file.url)


@dataclass(frozen=True, slots=True)
class StoredFolder:
    """A folder in an object store."""

    url: str

    def names(self) -> set[str]:
        """Return the paths of all files below it, relative to it."""
        system, root = open_store(self.url)
        with naming(self.url):
            system.invalidate_cache()
            found = system.find(root) if system.exists(root) else []
        return {path.removeprefix(root).lstrip("/") for path in found}

    def read(self, names: Iterable[str]) -> dict[str, bytes]:
        """Read several files at once."""
        system, _ = open_store(self.url)
        names = sorted(names)
        # fsspec's own way to read several takes their names for patterns.
        with naming(self.url), ThreadPoolExecutor(_READERS) as pool:
            contents = pool.map(system.cat_file, map(self._path, names))
            return dict(zip(names, contents, strict=True))

    def write(self, name: str, content: bytes) -> None:
        """Write a file, which object stores show only when it is complete."""
        system, _ = open_store(self.url)
        with naming(f"{self.url}/{name}"):
            path = self._path(name)
            system.makedirs(path.rpartition("/")[0], exist_ok=True)
            system.pipe_file(path, content)

    def delete(self, names: Iterable[str]) -> None:
        """Delete files."""
        system, _ = open_store(self.url)
        with naming(self.url):
            for name in names:
                with suppress(FileNotFoundError):
                    system.rm_file(self._path(name))

    def holds(self, file: RemoteFile) -> bool:
        """Return whether a file lies below it."""
        system, root = open_store(self.url)
        return file.url.startswith(str(system.unstrip_protocol(root)).rstrip("/") + "/")

    def _path(self, name: str) -> str:
        return f"{open_store(self.url)[1].rstrip('/')}/{name}"


def predict_to_store(
    photos: Sequence[Photo],
    predictor: Predictor,
    url: str,
    config: BatchConfig,
    listener: Listener | None = None,
) -> Summary:
    """Segment photos into a folder of an object store; see `predict_photos`.

    A photo's files are written first, and then a note of them in `NOTES`, so that a run resumes
    after the photos that have notes, and any worker may write the same files again.

    Raises:
        ValueError: If the folder holds results of another model, other settings or photos, or other
            files; if it can't be written to; or if raw outputs are wanted.
    """
    listener, folder = listener or Listener(), StoredFolder(url)
    if config.outputs.raw is not None:
        raise ValueError("--raw needs a folder on a disk for the results")
    if config.segment is None:
        raise ValueError(f"{url}: results go to an object store from a cluster only")
    purpose = purpose_of_run(predictor, config.outputs)
    notes = _resumed(folder, purpose, photos, overwrite=config.overwrite)
    todo = [photo for photo in photos if photo.name not in notes]
    listener.on_start(len(notes), len(photos))
    failed = segments = 0
    with TemporaryDirectory() as name, open_results(Path(name), purpose, photos) as results:
        for entry in notes.values():
            results.add(entry)
        job = _UploadingJob(predictor, Path(name), config.outputs, folder)
        for outcome in config.segment(todo, job, listener.on_warning):
            failed += outcome.error is not None
            if outcome.error is None:
                results.add(outcome.entry)
            listener.on_photo(outcome)
        segments = sum(len(entry["segments_info"]) for entry in results.entries())
        if COCO in config.outputs.formats and len(todo) - failed + len(notes):
            results.describe(predictor.categories)
            folder.write(PREDICTIONS, (Path(name) / PREDICTIONS).read_bytes())
    return Summary(
        segmented=len(todo) - failed, earlier=len(notes), failed=failed, segments=segments
    )


def _resumed(
    folder: StoredFolder, purpose: str, photos: Sequence[Photo], *, overwrite: bool
) -> dict[str, dict[str, Any]]:
    """Claim a folder, and return the notes of photos that are done, by name.

    Raises:
        ValueError: See `predict_to_store`.
    """
    for photo in photos:
        if isinstance(photo.source, RemoteFile) and folder.holds(photo.source):
            raise ValueError(
                f"{photo.title}: lies in the folder of the results; choose another one"
            )
    names = folder.names()
    if names and RUN not in names:
        raise ValueError(f"{folder.url}: not empty; choose a new or empty folder")
    notes = [name for name in names if name.startswith(f"{NOTES}/")]
    entries = dict(_parsed(folder.read(notes)))
    run = _json(folder.read([RUN])[RUN]) if RUN in names else {"purpose": purpose}
    if overwrite:
        written = (f"{file}" for entry in entries.values() for file in entry["files"])
        folder.delete(names & {PREDICTIONS, *notes, *written})
        entries = {}
    elif run.get("purpose") != purpose:
        raise ValueError(
            f"{folder.url}: holds results of another model, settings or formats; choose another "
            "folder, or start anew with --overwrite"
        )
    folder.write(RUN, json.dumps({"purpose": purpose}).encode())
    return _done(folder, entries, photos, names)


def _done(
    folder: StoredFolder,
    entries: dict[str, dict[str, Any]],
    photos: Sequence[Photo],
    names: set[str],
) -> dict[str, dict[str, Any]]:
    stamps = {photo.name: photo.stamp() for photo in photos}
    for name, entry in entries.items():
        if stamps.get(name, [None])[0] != entry["stamp"][0]:
            raise ValueError(
                f"{folder.url}: holds results of other photos, such as {entry['stamp'][0]}; choose "
                "another folder, or start anew with --overwrite"
            )
    return {
        name: entry
        for name, entry in entries.items()
        if entry["stamp"] == stamps[name] and all(f"{file}" in names for file in entry["files"])
    }


def _parsed(notes: dict[str, bytes]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the entries of notes by the names of the photos; what is damaged is left out."""
    for content in notes.values():
        entry = _json(content)
        lists = [entry.get(key) for key in ("stamp", "files", "segments_info")]
        if all(isinstance(each, list) for each in lists) and all(lists[:2]):
            yield str(entry.get("name")), entry


def _json(content: bytes) -> dict[str, Any]:
    with suppress(ValueError, RecursionError):
        values = json.loads(content)
        if isinstance(values, dict):
            return values
    return {}


@dataclass(frozen=True, slots=True, eq=False)
class _UploadingJob(PhotoJob):
    """Segments photos into an object store, through a temporary folder for each."""

    store: StoredFolder

    def write(self, item: Item) -> Outcome:
        with TemporaryDirectory() as name:
            outcome = PhotoJob(self.predictor, Path(name), self.config).write(item)
            if outcome.error is None:
                with item.step():
                    self._upload(Path(name), outcome)
        return outcome if item.error is None else Outcome(photo=item.photo, error=item.error)

    def _upload(self, folder: Path, outcome: Outcome) -> None:
        files = outcome.entry["files"]
        assert isinstance(files, list)
        for name in files:
            self.store.write(name, (folder / name).read_bytes())
        note = json.dumps(outcome.entry).encode()
        self.store.write(f"{NOTES}/{outcome.photo.name}.json", note)
