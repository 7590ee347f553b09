"""Clips and streams among the arguments of `jsisnet predict`."""

import glob
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from jsisnet.cli.console import display, progress, say
from jsisnet.cli.default_folder import next_folder
from jsisnet.cli.errors import STOPPED, TERMINATED, describe_error
from jsisnet.files.one_line import one_line

if TYPE_CHECKING:
    from jsisnet.inference.predictor import Predictor
    from jsisnet.video.clips import Clip
    from jsisnet.video.job import ClipSummary, VideoConfig
    from jsisnet.visualize.overlay import Style

_STREAM_SECONDS = 60.0
"""Time for which a stream is recorded if no end is given."""

_FAILURES = (ValueError, OSError, MemoryError, RuntimeError)
"""Errors of one clip, after which the others follow."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ClipOptions:
    """Options for clips; photos ignore them."""

    stride: Annotated[int, Parameter(metavar="NUMBER", validator=validators.Number(gte=1))] = 1
    """Take one of so many frames of a clip."""

    every: Annotated[int, Parameter(metavar="NUMBER", validator=validators.Number(gte=1))] = 1
    """Run the network on one of so many frames; in between, things move on as they did before."""

    start: Annotated[float, Parameter(metavar="SECONDS", validator=validators.Number(gte=0))] = 0.0
    """Time of a clip's first frame."""

    end: Annotated[
        float | None, Parameter(metavar="SECONDS", validator=validators.Number(gt=0))
    ] = None
    """Time at which a clip is cut off. Default: its end; of a stream, 60."""

    min_iou: Annotated[float, Parameter(metavar="X", validator=validators.Number(gte=0, lte=1))] = (
        0.3
    )
    """IoU, 0 to 1, from which a thing keeps its id from one frame to the next."""

    keep: Annotated[int, Parameter(metavar="FRAMES", validator=validators.Number(gte=0))] = 15
    """Frames for which the id of a thing is kept while it is not seen."""

    preset: Annotated[str, Parameter(metavar="NAME")] = "ultrafast"
    """Setting of the encoder: ultrafast, superfast, veryfast, faster, fast, medium or slow; slower
    ones make smaller files."""

    stream: Annotated[tuple[str, ...], Parameter(metavar="URL|CAMERA", negative=())] = ()
    """Live stream to record, such as rtsp://host/live, or a camera, such as 0. Ctrl-C ends it."""


def find_clips(images: Sequence[str], options: ClipOptions) -> tuple[list["Clip"], list[str]]:
    """Return the clips and streams, and the arguments that stand for photos."""
    from jsisnet.video.clips import SUFFIXES, Clip, is_clip, stream

    paths: list[Path] = []
    others: list[str] = []
    for argument in images:
        if "://" in argument and Path(argument).suffix.lower() in SUFFIXES:
            raise ValueError(f"{one_line(argument)}: a URL; give it with --stream, or download it")
        # The name of a file may look like a pattern, so existing files are looked up first.
        if argument and is_clip(Path(argument)):
            paths.append(Path(argument))
        elif Path(argument).suffix.lower() in SUFFIXES and not Path(argument).is_dir():
            matches = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207 - may be absolute
            paths += map(Path, matches or [argument])
        else:
            others.append(argument)
    paths = list({path.resolve(): path for path in paths}.values())
    streams = [stream(address) for address in options.stream]
    clips = [Clip(path, _name(path)) for path in paths] + streams
    return _with_unique_names(clips), others


def refuse_clips(clips: Sequence["Clip"]) -> None:
    """Raise a `ValueError` if there is a clip where photos alone are segmented."""
    if clips:
        raise ValueError(f"{clips[0].title}: a clip; segment clips without --cluster")


def predict_clips(
    clips: Sequence["Clip"],
    out: Path | None,
    predictor: "Predictor",
    config: "VideoConfig",
    *,
    overwrite: bool = False,
    quiet: bool = False,
) -> int:
    """Segment clips, each into a folder of its own, and return the exit code.

    Args:
        clips: The clips.
        out: Folder of these folders; ``None`` for the next default folder.
        predictor: The model.
        config: Settings.
        overwrite: Whether to delete the results of an earlier run first.
        quiet: Whether to print errors only.
    """
    out = out or next_folder(partial(_is_unfinished, clips, predictor, config))
    code = 0
    for clip in clips:
        try:
            code = max(
                code, _predict_clip(clip, predictor, out / clip.name, config, overwrite, quiet)
            )
        except _FAILURES as error:
            message = describe_error(error).removeprefix(f"{clip.title}: ")
            say(f"{clip.title}: {message}")
            code = 1
        except (KeyboardInterrupt, SystemExit) as error:
            say(f"{clip.title}: interrupted; rerun the same command to resume")
            return STOPPED if isinstance(error, KeyboardInterrupt) else TERMINATED
    return code


def video_config(
    options: ClipOptions, formats: Sequence[str], overlay: "Style | None", *, withphotos: bool
) -> "VideoConfig":
    """Return the settings of clips that options of the command line describe.

    Raises:
        ValueError: If clips can't be written in the formats, or a setting is out of its range.
    """
    from jsisnet.video.frame_store import FORMATS
    from jsisnet.video.identity import IdentityConfig
    from jsisnet.video.job import VideoConfig
    from jsisnet.video.reading import Selection
    from jsisnet.video.writing import EncoderConfig

    known = FORMATS[:1] if withphotos else FORMATS
    if len(formats) != 1 or formats[0] not in known:
        what = "clips and photos together" if withphotos else "clips"
        raise ValueError(
            f"--format is {','.join(formats)}; expected {' or '.join(known)} for {what}"
        )
    return VideoConfig(
        format=formats[0],
        overlay=None if overlay is None else replace(overlay, scores=False, legend=False),
        selection=Selection(stride=options.stride, start=options.start, end=options.end),
        every=options.every,
        identity=IdentityConfig(min_iou=options.min_iou, keep=options.keep),
        encoder=EncoderConfig(preset=options.preset),
    )


def _predict_clip(
    clip: "Clip",
    predictor: "Predictor",
    folder: Path,
    config: "VideoConfig",
    overwrite: bool,
    quiet: bool,
) -> int:
    from jsisnet.video.job import ClipListener, predict_clip

    if clip.live and config.selection.end is None:
        end = config.selection.start + _STREAM_SECONDS
        config = replace(config, selection=replace(config.selection, end=end))
    began = time.perf_counter()
    bar = nullcontext(_nothing) if quiet else progress(f"segmenting {clip.title}")
    with bar as advance:
        listener = ClipListener(on_frame=advance, on_warning=say)
        summary = predict_clip(clip, predictor, folder, config, listener, overwrite=overwrite)
    if summary.problems:
        kept = f"kept the {summary.frames} frames that could be read"
        say(f"{clip.title}: {', and '.join(summary.problems)}; {kept}")
    if not quiet:
        display(_told(clip, summary, folder, time.perf_counter() - began))
    return int(bool(summary.problems))


def _is_unfinished(
    clips: Sequence["Clip"], predictor: "Predictor", config: "VideoConfig", folder: Path
) -> bool:
    """Return whether a folder holds an interrupted run of this command."""
    from jsisnet.video.job import is_unfinished

    return any(is_unfinished(clip, predictor, folder / clip.name, config) for clip in clips)


def _nothing(_done: int, _total: int | None) -> None:
    pass


def _told(clip: "Clip", summary: "ClipSummary", folder: Path, seconds: float) -> str:
    new = summary.frames - summary.earlier
    frames = f"{summary.frames} frame{'s' if summary.frames != 1 else ''}"
    if not new:
        return f"{clip.title}: already complete, {frames} in {folder}"
    before = f", {summary.earlier} of them before" if summary.earlier else ""
    ended = " until it was interrupted" if summary.interrupted else ""
    rate = f"{summary.frames / seconds:.1f} frames a second"
    return f"{clip.title}: segmented {frames}{before}{ended} ({rate}); results in {folder}"


def _name(path: Path) -> str:
    """Return a name for the results of a clip, which leads to no other folder."""
    return path.name if path.stem in (".", "..") else path.stem


def _with_unique_names(clips: Sequence["Clip"]) -> list["Clip"]:
    taken: set[str] = set()
    unique = []
    for clip in clips:
        name, count = clip.name, 1
        while name.casefold() in taken:
            count += 1
            name = f"{clip.name}_{count}"
        taken.add(name.casefold())
        unique.append(replace(clip, name=name))
    return unique
