"""Segmentation of a clip: its frames are read, segmented, followed, drawn and written in turn."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from itertools import islice
from pathlib import Path

import numpy as np

from jsisnet import __version__
from jsisnet.arrays import UInt8
from jsisnet.categories import Categories
from jsisnet.formats import categories_json
from jsisnet.inference.engine import Outputs
from jsisnet.inference.pipeline import in_threads
from jsisnet.inference.predictor import Predictor
from jsisnet.panoptic import PanopticMap
from jsisnet.video.clips import Clip
from jsisnet.video.frame_store import (
    COCO,
    OVERLAY,
    FrameMap,
    FrameStore,
    fits,
    is_interrupted,
    open_store,
)
from jsisnet.video.identity import Identities, IdentityConfig, carried
from jsisnet.video.reading import ClipReader, Frame, Selection, open_clip, open_sound
from jsisnet.video.writing import ClipWriter, EncoderConfig, Sound, can_copy, writing_clip
from jsisnet.visualize.overlay import Style, draw
from jsisnet.visualize.palette import Color, segment_colors

_MOST_CARRIED = 1000
"""Most frames for which the network may run once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoConfig:
    """Settings of the segmentation of a clip."""

    format: str = COCO
    """Format of the maps: ``coco`` or ``jsonl``."""

    overlay: Style | None = field(default_factory=lambda: Style(scores=False))
    """Appearance of the annotated video; ``None`` for none."""

    selection: Selection = field(default_factory=Selection)
    """Which frames are taken."""

    every: int = 1
    """Run the network on one of so many frames, 1 to 1000; in between, things move on as they did
    before, and stuff stays."""

    identity: IdentityConfig = field(default_factory=IdentityConfig)
    """What counts as the same object in the next frame."""

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    """How the annotated video is encoded."""

    def __post_init__(self) -> None:
        if not 1 <= self.every <= _MOST_CARRIED:
            raise ValueError(f"every is {self.every}; expected 1 to {_MOST_CARRIED} frames")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipListener:
    """Functions that are told how a run goes."""

    on_frame: Callable[[int, int | None], object] = lambda *_: None
    """Called after each frame with the number of finished ones, and of all if it is known."""

    on_warning: Callable[[str], object] = lambda _: None
    """Called with a message for what is left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipSummary:
    """What a run did."""

    frames: int
    """Frames that have maps."""

    earlier: int
    """Frames of these that an earlier run had segmented."""

    problems: tuple[str, ...] = ()
    """What was wrong with the clip; the frames that could be read have results."""

    interrupted: bool = False
    """Whether a live stream was ended by Ctrl-C."""


def predict_clip(
    clip: Clip,
    predictor: Predictor,
    folder: Path,
    config: VideoConfig | None = None,
    listener: ClipListener | None = None,
    *,
    overwrite: bool = False,
) -> ClipSummary:
    """Segment a clip, and write an annotated video and the maps of its frames.

    The map of each frame is journaled as soon as it is written. The same call resumes a run that
    was interrupted or killed: it reads the maps of the finished frames, and draws and encodes all
    frames, so that the video is whole. On a CPU its maps are those of an uninterrupted run.

    Args:
        clip: The clip.
        predictor: The model.
        folder: Folder for the results of this clip alone; created if it does not exist.
        config: Settings.
        listener: Functions that are told how the run goes.
        overwrite: Whether to delete the results of an earlier run in the folder first.

    Raises:
        ValueError: If the clip can't be read or has no frames, or its name is too long for those of
            its results; or if the folder holds other files, or results of another clip, model or
            settings.
        ImportError: If PyAV is not installed; the extra `video` provides it.
    """
    config, listener = config or VideoConfig(), listener or ClipListener()
    if config.overlay is not None:
        config.overlay.labels(predictor.categories)  # refuses unknown classes at once
    if not fits(clip.name, config.format):
        raise ValueError(
            f"{clip.title}: its name is too long for those of its results, which file systems "
            "limit to 255 bytes; rename the clip"
        )
    with ExitStack() as stack:
        reader = stack.enter_context(open_clip(clip, config.selection))
        store = stack.enter_context(
            open_store(
                folder,
                clip.name,
                config.format,
                predictor.categories,
                purpose=purpose_of_clip(clip, predictor, config),
                overwrite=overwrite,
            )
        )
        earlier = len(store)
        if (done := store.finished) is not None:
            problems = tuple(str(each) for each in done["problems"])  # type: ignore[attr-defined]
            return ClipSummary(frames=earlier, earlier=earlier, problems=problems)
        run = _Run(reader, predictor, store, config, listener)
        interrupted = run.all_frames(folder / OVERLAY)
        return ClipSummary(
            frames=len(store),
            earlier=earlier,
            problems=tuple(reader.problems),
            interrupted=interrupted,
        )


def is_unfinished(clip: Clip, predictor: Predictor, folder: Path, config: VideoConfig) -> bool:
    """Return whether a folder holds an interrupted run of the same clip, model and settings."""
    return is_interrupted(folder, purpose_of_clip(clip, predictor, config))


def purpose_of_clip(clip: Clip, predictor: Predictor, config: VideoConfig) -> str:
    """Return a hash of all that determines the results."""
    described = {
        "version": __version__,
        "clip": clip.stamp(),
        "settings": asdict(predictor.config),
        "classes": categories_json.entries(predictor.categories),
        "kept": predictor.classes,
        "network": predictor.engine.fingerprint(),
        "video": asdict(config),
        **({"tta": True} if predictor.tta else {}),
    }
    return sha256(json.dumps(described).encode()).hexdigest()


class _Run:
    """The steps with the frames of a clip."""

    def __init__(
        self,
        reader: ClipReader,
        predictor: Predictor,
        store: FrameStore,
        config: VideoConfig,
        listener: ClipListener,
    ) -> None:
        self.reader, self.predictor, self.store = reader, predictor, store
        self.config, self.listener = config, listener
        self.colors = _Colors(predictor.categories)
        self.sound: Sound | None = None

    def all_frames(self, path: Path) -> bool:
        """Take all steps with all frames; return whether a live stream was interrupted."""
        total, done, interrupted = self.reader.frames(), 0, False
        with ExitStack() as stack:
            writer: ClipWriter | None = None
            try:
                for frame, found in self._maps():
                    if writer is None and self.config.overlay is not None:
                        writer = stack.enter_context(self._writer(path, stack))
                    if writer is not None:
                        writer.add(self._drawn(frame, found), frame.time)
                    self.store.add(frame.index, float(frame.time), found)
                    done += 1
                    self.listener.on_frame(done, total)
            except (KeyboardInterrupt, SystemExit):
                if not self.reader.clip.live or not done:
                    raise
                interrupted = True
            if writer is not None:
                writer.finish(self.config.selection.end)
            if self.sound is not None and self.sound.lost:
                self.reader.problems.append(f"{self.sound.lost} damaged packets of sound")
        names = [] if self.config.overlay is None else [OVERLAY]
        self.store.finish(names, self.reader.problems)
        return interrupted

    def _writer(self, path: Path, stack: ExitStack) -> AbstractContextManager[ClipWriter]:
        """Open the annotated video, with the sound of the clip if it can be copied."""
        clip, sound = self.reader.clip, None
        if not clip.live:
            source = stack.enter_context(open_sound(clip))
            context = source and source.streams.audio[0].codec_context
            codec = context.name if context else "of an unknown codec"
            if source is not None and can_copy(codec):
                sound = self.sound = Sound(source, self.reader.origin)
            elif source is not None:
                self.listener.on_warning(
                    f"{clip.title}: its sound, {codec}, can't be copied to an MP4, so the video is "
                    "silent"
                )
        rate = self.reader.rate / self.config.selection.stride
        return writing_clip(path, self.config.encoder, rate, sound)

    def _drawn(self, frame: Frame, found: FrameMap) -> UInt8[np.ndarray, "h w 3"]:
        colors = self.colors.of(found)
        categories = self.predictor.categories
        return draw(frame.image, found.panoptic, categories, self.config.overlay, colors=colors)

    def _maps(self) -> Iterator[tuple[Frame, FrameMap]]:
        """Yield the frames with their maps, while the network runs on the next ones."""
        identities = Identities(self.config.identity)
        last, age = FrameMap(_EMPTY, ()), 0
        for frame, outputs in self._outputs():
            if outputs is None:
                age += 1
                yield frame, _moved(last, identities, age / self.config.every)
                continue
            panoptic = self._merged(outputs, frame)
            last, age = FrameMap(panoptic, identities.update(panoptic)), 0
            yield frame, last

    def _outputs(self) -> Iterator[tuple[Frame, "Outputs | PanopticMap | None"]]:
        """Yield the frames with what the network predicts, or ``None`` for those to be carried."""
        engine = self.predictor.engine
        alone = engine.device == "cpu" or engine.config.size is None
        size = 1 if alone else engine.batch_size * self.config.every
        for batch in in_threads(self._predicted, _batches(self.reader, size), 1):
            yield from batch

    def _predicted(
        self, batch: list[tuple[int, Frame]]
    ) -> list[tuple[Frame, "Outputs | PanopticMap | None"]]:
        """Run the network on those frames of a batch whose maps are not stored."""
        every = self.config.every
        found: dict[int, Outputs | PanopticMap] = {}
        wanted: dict[int, Frame] = {}
        for position, frame in batch:
            if position % every:
                continue
            stored = self.store.read(frame.index, (frame.image.shape[0], frame.image.shape[1]))
            if stored is not None:
                found[position] = stored.panoptic
            else:
                wanted[position] = frame
        if wanted:
            images = [frame.image for frame in wanted.values()]
            found |= dict(zip(wanted, self.predictor.run(images), strict=True))
        return [(frame, found.get(position)) for position, frame in batch]

    def _merged(self, outputs: Outputs | PanopticMap, frame: Frame) -> PanopticMap:
        height, width = frame.image.shape[:2]
        panoptic = self.predictor.merge(outputs, (height, width))
        return PanopticMap.compact(panoptic.ids, panoptic.segments)


class _Colors:
    """Colours that stay with the ids of segments."""

    def __init__(self, categories: Categories) -> None:
        self._categories = categories
        self._known: dict[int, Color] = {}

    def of(self, frame: FrameMap) -> UInt8[np.ndarray, "segments 3"]:
        """Return the colours of the segments of a frame; new things get some unlike the others."""
        known = {i: self._known[id_] for i, id_ in enumerate(frame.ids) if id_ in self._known}
        if len(known) == len(frame.ids):
            return np.array([*known.values()], np.uint8).reshape(-1, 3)
        colors = segment_colors(frame.panoptic, self._categories, known)
        for id_, (red, green, blue) in zip(frame.ids, colors.tolist(), strict=True):
            self._known.setdefault(id_, (red, green, blue))
        return colors


_EMPTY = PanopticMap(np.zeros((1, 1), np.int32), ())


def _moved(last: FrameMap, identities: Identities, steps: float) -> FrameMap:
    """Return the map of an earlier frame, with things moved on by a part of their displacement."""
    displacements = [identities.displacement(each) for each in last.ids]
    panoptic, kept = carried(last.panoptic, displacements, steps)
    return FrameMap(panoptic, tuple(last.ids[i] for i in kept), carried=True)


def _batches(frames: Iterable[Frame], size: int) -> Iterator[list[tuple[int, Frame]]]:
    """Yield so many of the frames at a time, each with its number among those that are taken."""
    numbered = enumerate(frames)
    while batch := list(islice(numbered, size)):
        yield batch
