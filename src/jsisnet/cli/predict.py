"""`jsisnet predict` and `jsisnet demo`: segment images."""

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from jsisnet.cli.clips import (
    ClipOptions,
    find_clips,
    is_unfinished_clip,
    predict_clips,
    video_config,
)
from jsisnet.cli.cluster import cluster_config, local_folder, local_path
from jsisnet.cli.console import display, progress, say
from jsisnet.cli.drawing import DrawingOptions
from jsisnet.cli.errors import FAILED, STOPPED, TERMINATED, describe_error
from jsisnet.cli.inputs import load_model, sample_photo
from jsisnet.cli.options import (
    ClusterAddress,
    Flag,
    Folder,
    InstancesFrom,
    Model,
    Overrides,
    RunOptions,
    listed,
)
from jsisnet.files.remote import is_url

if TYPE_CHECKING:
    from jsisnet.inference.batch import BatchConfig, Summary
    from jsisnet.inference.photo_files import FoundPhotos, Photo
    from jsisnet.inference.photo_job import Outcome
    from jsisnet.inference.predictor import Predictor
    from jsisnet.inference.tiles import TileConfig
    from jsisnet.scale.cluster import ClusterConfig

DEMO = ("astronaut.png", "chelsea.png", "coffee.png")
"""Photos that `demo` segments, all of them free to use."""

DEFAULT_OUT = Path("runs/predict")
"""Folder of the results of the first run; those of the others get a number."""

_PHOTOS_PER_WORKER = 20
"""Photos for which it pays to start a process: loading a network takes the time of a few."""

_MAX_WORKERS = 16

_MANY = _PHOTOS_PER_WORKER * _MAX_WORKERS
"""Photos for which it pays to use every core; the tiles of large ones are as many."""

_ENGINES = ("auto", "onnxruntime", "openvino", "torch")
"""Engines that are known to work in several processes."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SelectionOptions:
    """Options for what is segmented."""

    min_score: Annotated[
        float | None, Parameter(metavar="X", validator=validators.Number(gte=0, lte=1))
    ] = None
    """Ignore things that are less certain, 0 to 1. Default: the model's own."""

    classes: Annotated[tuple[str, ...] | None, Parameter(metavar="NAMES", negative=())] = None
    """Classes to segment, separated by commas; everything else becomes void. Default: all."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class WritingOptions:
    """Options for what is written, and how."""

    format: Annotated[tuple[str, ...], Parameter(metavar="NAMES", negative=())] = ("coco",)
    """Formats, separated by commas: coco (maps and predictions.json), and labelme, label-studio
    and cvat, whose files go to a folder of that name; for clips coco or jsonl."""

    overlay: bool = True
    """Whether to write overlays."""

    raw: Folder | None = None
    """Folder for what the branches predict, an .npz file per image and images.json, which `jsisnet
    merge` reads."""

    overwrite: Flag = False
    """Delete the results of an earlier run in the folder, and start anew; other files with the
    names of results are replaced."""

    workers: Annotated[
        int | None, Parameter(metavar="NUMBER", validator=validators.Number(gte=1))
    ] = None
    """Processes, each with one thread of a CPU. Default: one for a few images; for many, one per
    core."""

    quiet: Annotated[bool, Parameter(alias="-q", negative=())] = False
    """Print errors only."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TileOptions:
    """Options for pictures that are too large to be segmented at once."""

    tiles: Flag = False
    """Read each image in overlapping tiles, which allows any size and keeps memory small. TIFFs are
    read in place. Overlays are reduced to 8 megapixels."""

    tile_size: Annotated[
        int | None, Parameter(metavar="PIXELS", validator=validators.Number(gte=8))
    ] = None
    """Side of the tiles. Default: those of the model's input."""

    overlap: Annotated[
        int | None, Parameter(metavar="PIXELS", validator=validators.Number(gte=0))
    ] = None
    """What neighbouring tiles share, at least. Default: an eighth of a tile."""

    def config(self) -> "TileConfig | None":
        """Return the settings of the tiles; ``None`` if none are wanted."""
        from jsisnet.inference.tiles import TileConfig

        if not self.tiles and self.tile_size is None and self.overlap is None:
            return None
        size = None if self.tile_size is None else (self.tile_size, self.tile_size)
        return TileConfig(size=size, overlap=self.overlap)


def predict(  # noqa: PLR0913 - options of the command line
    *images: Annotated[str, Parameter(name="IMAGE")],
    out: Annotated[str | None, Parameter(alias="-o", metavar="DIR")] = None,
    model: Model = "coco",
    instances_from: InstancesFrom = None,
    selection: SelectionOptions = SelectionOptions(),
    writing: WritingOptions = WritingOptions(),
    video: ClipOptions = ClipOptions(),  # noqa: B008 - frozen
    drawing: DrawingOptions = DrawingOptions(),  # noqa: B008 - frozen
    tiling: TileOptions = TileOptions(),
    cluster: ClusterAddress = None,
    run: RunOptions = RunOptions(),  # noqa: B008 - frozen
    overrides: Overrides = (),
) -> int:
    """Segment images and clips: a class and an instance for every pixel.

    For each image, writes DIR/STEM.png, the map at the image's own size with COCO
    panoptic ids as colours, and DIR/STEM_overlay.jpg, the map drawn on the image.
    DIR/predictions.json describes all maps in COCO panoptic format. If two images
    share a name, the second is saved as STEM_2. Images are rotated by their EXIF
    orientation. An image that can't be read is reported, the others are still
    segmented, and the exit code is 1.

    For each clip, writes DIR/STEM/overlay.mp4 and the maps of its frames, in which
    an object has one id.

    An interrupted run loses nothing: the same command resumes it.

    The model's settings are options too, such as --merge.canvas original for
    finer edges.

    For example
        jsisnet predict photo.jpg
        jsisnet predict photos "more/**/*.jpg" archive.zip -o maps --model runs/mine
        jsisnet predict street.jpg --classes person,car --min-score 0.7
        jsisnet predict photos -o tasks --format coco,labelme --no-overlay
        jsisnet predict aerial.tif --tiles --tile-size 1024 --overlap 128
        jsisnet predict drive.mp4 -o maps --stride 2 --end 60
        curl -s https://example.org/photo.jpg | jsisnet predict - -o maps

    Args:
        images: Images, folders of images, zips with images, patterns, clips, or - for an image on
            standard input.
        out: Folder for the results; created if it does not exist. Default: runs/predict, or
            the next free number, such as runs/predict_2.
        model: Built-in model (coco, street), the folder of a model or training run, or user/model
            on a hub.
        instances_from: Model that detects the instances; the semantic segmentation and the
            settings of the merge remain those of --model.
        selection: What is segmented.
        writing: What is written, and how.
        video: What is read of clips, and how their objects are followed.
        drawing: How overlays are drawn.
        tiling: How images of any size are segmented.
        cluster: Ray cluster that segments the images: local for one on this machine, auto for the
            one it belongs to, HOST:PORT or ray://HOST:PORT. Images and results may then be URLs of
            object stores, such as s3://bucket/photos; --workers is the number of actors.
        run: How the network runs.
        overrides: Settings that override those of the model.
    """
    from jsisnet.inference.batch import BatchConfig
    from jsisnet.inference.photo_files import find_photos
    from jsisnet.inference.photo_job import OutputConfig
    from jsisnet.inference.results_folder import results_in

    formats = tuple(dict.fromkeys(listed(writing.format)))
    overlay = drawing.style() if writing.overlay else None
    load = partial(
        load_model,
        model,
        overrides,
        instances_from=instances_from,
        classes=None if selection.classes is None else listed(selection.classes),
        min_score=selection.min_score,
    )
    clips, photos = find_clips(images, video)
    if clips and cluster is not None:
        raise ValueError(f"{clips[0].title}: a clip; segment clips without --cluster")
    outputs = partial(OutputConfig, formats=formats, overlay=overlay, raw=writing.raw)
    tiles = tiling.config()
    if cluster is not None:
        config = BatchConfig(outputs=outputs(), overwrite=writing.overwrite, tiles=tiles)
        place = cluster_config(cluster, writing.workers, run)
        one = partial(load, replace(run, threads=run.threads or 1))
        return _on_cluster(images, one, out, config, place, quiet=writing.quiet)
    target = local_folder(out)
    code = 0
    if clips:
        clip_config = video_config(video, formats, overlay, withphotos=bool(photos))
        predictor = load(run)
        folder = target or _next_folder(partial(is_unfinished_clip, clips, predictor, clip_config))
        code = predict_clips(
            clips, predictor, folder, clip_config, overwrite=writing.overwrite, quiet=writing.quiet
        )
        if not photos or code > FAILED:
            return code
    earlier = set() if target is None else results_in(target)
    found = find_photos(photos, _read_standard_input, without=earlier)
    for problem in found.problems:
        say(problem)
    workers = _workers(writing.workers, len(found.photos) if tiles is None else _MANY, run)
    predictor = load(replace(run, threads=run.threads or 1) if workers > 1 else run)
    if writing.workers is None and predictor.engine.device != "cpu":
        workers = 1
    config = BatchConfig(
        outputs=outputs(), workers=workers, overwrite=writing.overwrite, tiles=tiles
    )
    return max(code, _segment(found, predictor, target, config, quiet=writing.quiet))


def demo(
    *photos: Annotated[str, Parameter(name="PHOTO")],
    out: Folder = Path("demo"),
    model: Model = "coco",
    overrides: Overrides = (),
) -> int:
    """Segment three sample photos, or your own.

    For example
        jsisnet demo
        jsisnet demo holiday.jpg --out holiday

    Args:
        photos: Images, folders of images, or patterns. Default: an astronaut, a cat and a coffee
            from the package scikit-image.
        out: Folder for the results; those of earlier calls are replaced.
        model: Built-in model (coco, street), or the folder of a model or training run.
        overrides: Settings that override those of the model.
    """
    chosen = photos or tuple(str(sample_photo(name)) for name in DEMO)
    again = WritingOptions(overwrite=True)
    return predict(*chosen, out=str(out), model=model, writing=again, overrides=overrides)


def _on_cluster(
    images: "Sequence[str]",
    load: "Callable[[], Predictor]",
    out: str | None,
    config: "BatchConfig",
    place: "ClusterConfig",
    *,
    quiet: bool,
) -> int:
    from jsisnet.inference.photo_files import find_photos
    from jsisnet.inference.results_folder import results_in
    from jsisnet.scale.photos import segment_on_cluster
    from jsisnet.scale.store import find_stored

    if config.tiles is not None:
        raise ValueError("tiles are segmented on one machine; leave out --tiles or --cluster")
    folder = out if out is None or is_url(out) else local_folder(out)
    earlier = results_in(folder) if isinstance(folder, Path) else set()
    paths = [local_path(image) for image in images]
    found = find_photos(paths, _read_standard_input, without=earlier, find_stored=find_stored)
    for problem in found.problems:
        say(problem)
    predictor = load()
    place = replace(place, gpu=predictor.engine.device != "cpu")
    config = replace(config, segment=segment_on_cluster(place))
    return _segment(found, predictor, folder, config, quiet=quiet)


def _segment(
    found: "FoundPhotos",
    predictor: "Predictor",
    out: Path | str | None,
    config: "BatchConfig",
    *,
    quiet: bool,
) -> int:
    from jsisnet.inference.batch import Listener, predict_photos

    photos = found.photos
    folder = out or _next_folder(partial(_is_unfinished, photos, predictor, config))
    began = time.perf_counter()
    isfew = len(photos) == 1 and config.tiles is None
    bar = nullcontext(lambda *_: None) if quiet or isfew else progress("segmenting")
    with bar as advance:
        view = _View(advance, quiet=quiet)
        listener = Listener(
            on_start=view.start, on_photo=view.photo, on_warning=say, on_tile=view.tile
        )
        try:
            if isinstance(folder, str):
                from jsisnet.scale.store import predict_to_store

                summary = predict_to_store(photos, predictor, folder, config, listener)
            else:
                summary = predict_photos(photos, predictor, folder, config, listener)
        except (KeyboardInterrupt, SystemExit) as error:
            say(
                f"interrupted after {view.done} of {len(photos)} images; rerun the same command to "
                "resume"
            )
            return STOPPED if isinstance(error, KeyboardInterrupt) else TERMINATED
    if not quiet and summary.segmented + summary.earlier:
        seconds = time.perf_counter() - began
        display(f"{_counts(summary, len(photos), seconds)}; {_where(photos, folder, config)}")
    return int(summary.failed > 0 or bool(found.problems))


class _View:
    """What is shown of a run: a line per photo, and the progress."""

    def __init__(self, advance: Callable[[int, int], None], *, quiet: bool) -> None:
        self.advance, self.quiet = advance, quiet
        self.done = self.total = 0

    def start(self, done: int, total: int) -> None:
        self.done, self.total = done, total
        self.advance(done, total)

    def tile(self, done: int, total: int) -> None:
        self.advance(done, total)

    def photo(self, outcome: "Outcome") -> None:
        title = outcome.photo.title
        if outcome.error is not None:
            say(f"{title}: {describe_error(outcome.error).removeprefix(f'{title}: ')}")
        elif not self.quiet:
            height, width = outcome.size
            display(f"{title}: {width} x {height}, {_found(outcome)} ({outcome.seconds:.2f} s)")
        self.done += 1
        self.advance(self.done, self.total)


def _found(outcome: "Outcome") -> str:
    """Return the classes of an image in short, such as ``3 person, 1 dog, sky``."""
    things = [f"{count} {name}" for name, count in outcome.things.items()]
    return ", ".join([*things, *outcome.stuff]) or "nothing"


def _read_standard_input(size: int) -> bytes:
    # Python has no stream if standard input is closed.
    return b"" if sys.stdin is None else sys.stdin.buffer.read(size)


def _counts(summary: "Summary", photos: int, seconds: float) -> str:
    done = summary.segmented + summary.earlier
    images = (
        f"{done} image{'s' if done != 1 else ''}"
        if done == photos
        else (f"{done} of {photos} images")
    )
    if not summary.segmented and not summary.failed:
        return f"Already complete: {images}, {summary.segments} segments"
    before = f", {summary.earlier} of them before" if summary.earlier else ""
    return f"Segmented {images}{before}: {summary.segments} segments in {seconds:.1f} s"


def _where(photos: "Sequence[Photo]", folder: Path | str, config: "BatchConfig") -> str:
    """Say where the most telling results are."""
    if isinstance(folder, str):
        return f"results in {folder}"
    names = config.outputs.names(photos[0])
    what = "overlay" if config.outputs.overlay is not None else "map"
    if not names:
        return f"nothing written to {folder}"
    isreduced = config.tiles is not None and config.outputs.overlay is not None
    size = " (at most 8 megapixels)" if isreduced else ""
    if len(photos) == 1:
        written = (folder / name for name in names if (folder / name).is_file())
        return f"{what} in {next(written, folder / names[0])}{size}"
    first = folder / names[0]
    return f"{what}s in {first.with_name(f'*{first.name.removeprefix(photos[0].name)}')}{size}"


def _workers(wanted: int | None, photos: int, run: RunOptions) -> int:
    """Return the number of processes."""
    if wanted is not None:
        return wanted
    suits = run.engine in _ENGINES and run.device in ("auto", "cpu") and run.threads is None
    most = min(photos // _PHOTOS_PER_WORKER, _MAX_WORKERS)
    if not suits or most <= 1:
        return 1
    from jsisnet.files.processes import available_cores

    return min(available_cores(), most)


def _is_unfinished(
    photos: "Sequence[Photo]", predictor: "Predictor", config: "BatchConfig", folder: Path
) -> bool:
    from jsisnet.inference.batch import purpose_of_run
    from jsisnet.inference.results_folder import is_unfinished

    purpose = purpose_of_run(predictor, config.outputs, config.tiles)
    return not config.overwrite and is_unfinished(folder, purpose, photos)


def _next_folder(is_unfinished: Callable[[Path], bool]) -> Path:
    """Return the default folder: of the latest run if this command resumes it, or a new one."""
    parent, stem = DEFAULT_OUT.parent, DEFAULT_OUT.name
    suffixes = (path.name.removeprefix(stem) for path in parent.glob(f"{stem}*"))
    numbers = [
        1 if not each else int(each[1:])
        for each in suffixes
        if not each or (each[0] == "_" and each[1:].isdecimal())
    ]
    latest = max(numbers, default=0)
    if latest and is_unfinished(_numbered(latest)):
        return _numbered(latest)
    return _numbered(latest + 1)


def _numbered(number: int) -> Path:
    return DEFAULT_OUT if number <= 1 else DEFAULT_OUT.with_name(f"{DEFAULT_OUT.name}_{number}")
