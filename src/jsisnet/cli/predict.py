"""`jsisnet predict` and `jsisnet demo`: segment images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from jsisnet.cli.clips import (
    ClipOptions,
    find_clips,
    predict_clips,
    refuse_clips,
    video_config,
)
from jsisnet.cli.cluster import cluster_config, local_folder, predict_on_cluster
from jsisnet.cli.drawing import DrawingOptions
from jsisnet.cli.errors import FAILED
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
from jsisnet.cli.photos import found_photos, segment_photos

if TYPE_CHECKING:
    from jsisnet.inference.batch import BatchConfig
    from jsisnet.inference.predictor import Predictor
    from jsisnet.inference.tiles import TileConfig
    from jsisnet.visualize.overlay import Style

DEMO = ("astronaut.png", "chelsea.png", "coffee.png")
"""Photos that `demo` segments, all of them free to use."""

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

    tta: Flag = False
    """Segment each photo in six views and pool the outputs (test-time augmentation): takes six
    times as long, and finds more things."""


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

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats, each once."""
        return tuple(dict.fromkeys(listed(self.format)))

    def batch(self, overlay: "Style | None", tiling: "TileOptions") -> "BatchConfig":
        """Return how photos are segmented.

        Raises:
            ValueError: If photos can't be written in the formats, or not in tiles.
        """
        from jsisnet.inference.batch import BatchConfig
        from jsisnet.inference.photo_job import OutputConfig

        outputs = OutputConfig(formats=self.formats, overlay=overlay, raw=self.raw)
        return BatchConfig(outputs=outputs, overwrite=self.overwrite, tiles=tiling.config())


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
    load = partial(
        load_model,
        model,
        overrides,
        instances_from=instances_from,
        classes=None if selection.classes is None else listed(selection.classes),
        min_score=selection.min_score,
        tta=selection.tta,
    )
    overlay = drawing.style() if writing.overlay else None
    clips, photos = find_clips(images, video)
    if cluster is not None:
        refuse_clips(clips)
        place = cluster_config(cluster, writing.workers, run)
        one = partial(load, _one_thread(run))
        batch = writing.batch(overlay, tiling)
        return predict_on_cluster(images, out, one, batch, place, quiet=writing.quiet)
    folder = local_folder(out)
    code = 0
    if clips:
        if not photos:
            _refuse_options_of_photos(writing, tiling)
        config = video_config(video, writing.formats, overlay, withphotos=bool(photos))
        again, quiet = writing.overwrite, writing.quiet
        code = predict_clips(clips, folder, load(run), config, overwrite=again, quiet=quiet)
        if not photos or code > FAILED:
            return code
    batch = writing.batch(overlay, tiling)
    return max(code, _predict_photos(photos, folder, load, run, writing, batch))


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


def _predict_photos(
    images: Sequence[str],
    out: Path | None,
    load: "Callable[[RunOptions], Predictor]",
    run: RunOptions,
    writing: WritingOptions,
    batch: "BatchConfig",
) -> int:
    """Segment photos on this machine, and return the exit code."""
    found = found_photos(images, out)
    photos = len(found.photos) if batch.tiles is None else _MANY
    workers = writing.workers or _usual_workers(photos, run)
    predictor = load(_one_thread(run) if workers > 1 else run)
    if writing.workers is None and predictor.engine.device != "cpu":
        workers = 1
    batch = replace(batch, workers=workers)
    return segment_photos(found, predictor, out, batch, quiet=writing.quiet)


def _one_thread(run: RunOptions) -> RunOptions:
    """Return the options of one of several processes."""
    return replace(run, threads=run.threads or 1)


def _usual_workers(photos: int, run: RunOptions) -> int:
    """Return the number of processes if none is given."""
    suits = run.engine in _ENGINES and run.device in ("auto", "cpu") and run.threads is None
    most = min(photos // _PHOTOS_PER_WORKER, _MAX_WORKERS)
    if not suits or most <= 1:
        return 1
    from jsisnet.files.processes import available_cores

    return min(available_cores(), most)


def _refuse_options_of_photos(writing: WritingOptions, tiling: TileOptions) -> None:
    given = {"--raw": writing.raw is not None, "--tiles": tiling.config() is not None}
    for name, isgiven in given.items():
        if isgiven:
            raise ValueError(f"{name} is for photos, and only clips are given; leave it out")
