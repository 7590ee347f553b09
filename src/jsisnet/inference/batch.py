"""Prediction of many photos into a folder, journaled so that an interrupted run can resume."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path

from jsisnet import __version__
from jsisnet.formats import categories_json, image_list
from jsisnet.formats.image_list import ListedImage
from jsisnet.inference.branch_files import IMAGES, NOTE, branch_file, check_branches
from jsisnet.inference.photo_files import Photo
from jsisnet.inference.photo_job import COCO, Outcome, OutputConfig, PhotoJob
from jsisnet.inference.predictor import Predictor
from jsisnet.inference.results_folder import PREDICTIONS, ResultsFolder, open_results
from jsisnet.inference.tiles import TileConfig
from jsisnet.inference.written_files import WrittenFiles, locked, read_written

Segmentation = Callable[[Sequence[Photo], PhotoJob, Callable[[str], object]], Iterator[Outcome]]
"""Takes the steps of a job with each photo, wherever it likes, and tells what became of it as soon
as its files are written. It is given a function for warnings."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchConfig:
    """How photos are segmented."""

    outputs: OutputConfig = field(default_factory=OutputConfig)
    """What is written."""

    workers: int = 1
    """Number of processes. Each loads the network; on a CPU it should have one thread then."""

    segment: Segmentation | None = None
    """Segments the photos in place of processes of this machine, such as on a cluster."""

    overwrite: bool = False
    """Whether to delete the results of an earlier run in the folder instead of resuming it."""

    tiles: TileConfig | None = None
    """How pictures are divided into tiles, which allows any size; ``None`` if they are not."""

    def __post_init__(self) -> None:
        if self.tiles is None:
            return
        others = [name for name in self.outputs.formats if name != COCO]
        if others or self.outputs.raw is not None:
            raise ValueError(
                f"{others[0] if others else 'what the branches predict'} can't be written of "
                "pictures in tiles; expected the format coco alone"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Listener:
    """Functions that are told how a run goes."""

    on_start: Callable[[int, int], object] = lambda *_: None
    """Called once with the number of photos that an earlier run has segmented, and of all."""

    on_photo: Callable[[Outcome], object] = lambda _: None
    """Called after each photo."""

    on_warning: Callable[[str], object] = lambda _: None
    """Called with a message for each worker process that ended unexpectedly."""

    on_tile: Callable[[int, int], object] = lambda *_: None
    """Called with the number of tiles of a photo that are segmented, and of all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """What a run did."""

    segmented: int
    """Photos that it segmented."""

    earlier: int
    """Photos that an earlier run had segmented."""

    failed: int
    """Photos that could not be segmented."""

    segments: int
    """Segments of all photos."""


def predict_photos(
    photos: Sequence[Photo],
    predictor: Predictor,
    folder: Path,
    config: BatchConfig | None = None,
    listener: Listener | None = None,
) -> Summary:
    """Segment photos, and write maps, overlays and a JSON file that describes the maps.

    Each photo is journaled as soon as its files are written. The same call resumes a run that was
    interrupted or killed, and on a CPU gives the same files as an uninterrupted one. Photos that
    failed are tried again.

    Args:
        photos: Photos from `find_photos` or `name_photos`; their names become those of the results.
        predictor: The model.
        folder: Folder for the results; created if it does not exist.
        config: What is written, and by how many processes.
        listener: Functions that are told how the run goes.

    Raises:
        ValueError: If the folder holds results of another model, other settings or other photos; if
            another process is writing to it; if a result would overwrite a photo, or a file that
            no earlier run has written; or if raw outputs are wanted of a network without branches.
    """
    config, listener = config or BatchConfig(), listener or Listener()
    if config.outputs.overlay is not None:
        config.outputs.overlay.labels(predictor.categories)  # refuses unknown classes at once
    if config.outputs.raw is not None:
        check_branches(predictor.engine)
    purpose = purpose_of_run(predictor, config.outputs, config.tiles)
    job = PhotoJob(predictor, folder, config.outputs)
    with (
        locked(*filter(None, (folder, config.outputs.raw))),
        open_results(folder, purpose, photos, overwrite=config.overwrite) as results,
    ):
        raw = _branches(folder, purpose, config)
        done = results.done() if raw is None else results.done(lambda n: raw.holds(branch_file(n)))
        todo = [photo for photo in photos if photo.name not in done]
        _claim(todo, results, raw, config)
        listener.on_start(len(done), len(photos))
        failed = 0
        try:
            for outcome in _outcomes(todo, job, results, config, listener):
                failed += outcome.error is not None
                listener.on_photo(outcome)
        except BaseException:
            with suppress(OSError):
                _describe(results, job)
            raise
        segments = _describe(results, job)
        results.finish()
    return Summary(
        segmented=len(todo) - failed, earlier=len(done), failed=failed, segments=segments
    )


def purpose_of_run(
    predictor: Predictor, outputs: OutputConfig, tiles: TileConfig | None = None
) -> str:
    """Return a hash of all that determines the results, apart from the photos."""
    described = {
        "version": __version__,
        "settings": asdict(predictor.config),
        "classes": categories_json.entries(predictor.categories),
        "kept": predictor.classes,
        "network": predictor.engine.fingerprint(),
        "outputs": asdict(outputs),
        **({"tta": True} if predictor.tta else {}),
    }
    if tiles is not None:
        described["tiles"] = asdict(tiles)
    return sha256(json.dumps(described, default=os.path.abspath).encode()).hexdigest()


def _branches(folder: Path, purpose: str, config: BatchConfig) -> WrittenFiles | None:
    """Return what earlier runs have written of the branches, if that is wanted.

    Photos of other runs may have the same names, so it belongs to one folder of results.
    """
    if config.outputs.raw is None:
        return None
    own = f"{purpose} {folder.resolve()}"
    return read_written(config.outputs.raw / NOTE, own, anew=config.overwrite)


def _claim(
    photos: Sequence[Photo],
    results: ResultsFolder,
    raw: WrittenFiles | None,
    config: BatchConfig,
) -> None:
    """Claim the files of photos that are to be segmented."""
    outputs = config.outputs
    photos = [photo for photo in photos if outputs.fits(photo)]
    names = [name for photo in photos for name in outputs.names(photo)]
    if names and COCO in outputs.formats:
        names.append(PREDICTIONS)
    branches = [IMAGES, *(branch_file(photo.file_name) for photo in photos)]
    if raw is not None and photos:
        raw.check(branches, replaces=config.overwrite)
    results.claim(names)
    if raw is not None and photos:
        raw.claim(branches, [raw.path.with_name(IMAGES)], replaces=config.overwrite)


def _outcomes(
    photos: Sequence[Photo],
    job: PhotoJob,
    results: ResultsFolder,
    config: BatchConfig,
    listener: Listener,
) -> Iterator[Outcome]:
    """Segment photos in the way that was chosen, or suits their number."""

    def note(outcome: Outcome) -> None:
        if outcome.error is None:
            results.add(outcome.entry)

    if config.tiles is not None:
        from jsisnet.inference.large_photos import in_tiles

        outcomes: Iterable[Outcome] = in_tiles(photos, job, config, listener)
    elif config.segment is not None:
        outcomes = config.segment(photos, job, listener.on_warning)
    elif len(photos) > 1:
        yield from _several(photos, job, config.workers, note, listener)
        return
    else:
        outcomes = map(job.segment, photos)
    for outcome in outcomes:
        note(outcome)
        yield outcome


def _several(
    photos: Sequence[Photo],
    job: PhotoJob,
    workers: int,
    note: Callable[[Outcome], None],
    listener: Listener,
) -> Iterator[Outcome]:
    """Segment photos in processes or threads, which call `note` even if this one is interrupted."""
    if workers > 1:
        from jsisnet.inference.workers import in_workers

        yield from in_workers(photos, job, workers, note, listener.on_warning)
    else:
        from jsisnet.inference.pipeline import overlapped

        yield from overlapped(photos, job, note)


def _describe(results: ResultsFolder, job: PhotoJob) -> int:
    """Write the COCO file, if there are results and it is wanted; return the number of segments."""
    counts = [len(entry["segments_info"]) for entry in results.entries()]
    if counts and COCO in job.config.formats:
        results.describe(job.predictor.categories)
    if counts and job.config.raw is not None:
        images = {
            each["name"]: ListedImage(name=each["file_name"], size=(each["height"], each["width"]))
            for each in results.entries()
        }
        image_list.write(job.config.raw / IMAGES, images, job.predictor.categories)
    return sum(counts)
