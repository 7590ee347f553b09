"""Writing of a video: H.264 in an MP4, with the times of the frames and the sound of a clip."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jsisnet.arrays import UInt8
from jsisnet.checks import check_choice
from jsisnet.files.atomic import replacing
from jsisnet.lazy import import_extra

if TYPE_CHECKING:
    import av
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer
    from av.video.stream import VideoStream

PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow")
"""Settings of the encoder from fast and large to slow and small."""

_MOST_CRF = 51
"""Worst quality of the encoder."""

_MOST_SIDE = 16_384
"""Longest side in pixels that the encoder takes."""

_TICKS = 90_000
"""Time stamps per second: all usual frame rates are whole numbers of these."""

_SOUND = frozenset(("aac", "ac3", "alac", "eac3", "flac", "mp2", "mp3", "opus"))
"""Kinds of sound that an MP4 can hold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderConfig:
    """Settings of the encoder."""

    preset: str = "ultrafast"
    """One of the `PRESETS`. ``veryfast`` makes files of a third of the size, and takes 4 ms more of
    a core for a frame of 640 x 480 pixels."""

    crf: int = 21
    """Quality, 0 to 51: 0 is lossless, 18 looks so, and 6 more halve the size of the file."""

    threads: int = 1
    """Threads, 1 to 64."""

    def __post_init__(self) -> None:
        check_choice("preset", self.preset, PRESETS)
        if not 0 <= self.crf <= _MOST_CRF:
            raise ValueError(f"crf is {self.crf}; expected 0 to {_MOST_CRF}")
        if not 1 <= self.threads <= 64:  # noqa: PLR2004 - as documented
            raise ValueError(f"threads is {self.threads}; expected 1 to 64")


class ClipWriter:
    """An open video file; see `writing_clip`."""

    def __init__(
        self,
        container: "OutputContainer",
        config: EncoderConfig,
        rate: Fraction,
        sound: "Sound | None",
    ) -> None:
        """Take an open file; see `writing_clip`."""
        self.config, self.rate = config, rate
        self._container, self._sound = container, sound
        self._stream: VideoStream | None = None
        self._begin = Fraction(0)
        self._last = -1

    def add(self, picture: UInt8[np.ndarray, "h w 3"], time: Fraction) -> None:
        """Add a frame.

        The first frame has time 0 in the file. Pictures of odd height or width get one more row or
        column, a copy of their last, as H.264 stores colours for 2 x 2 pixels.

        Args:
            picture: Pixels, of one size in the whole file.
            time: Its time in seconds, later than that of the frame before.
        """
        av = import_extra("video", "av")
        picture = _even(picture)
        if self._stream is None:
            self._begin = time
            self._stream = self._add_stream(picture)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        pts = max(self._last + 1, round((time - self._begin) * _TICKS))
        frame.pts, frame.time_base = pts, Fraction(1, _TICKS)
        self._last = pts
        self._container.mux(self._stream.encode(frame))
        if self._sound is not None:
            self._sound.copy_to(self._container, time)

    def finish(self, end: float | None) -> None:
        """Write what is left: frames inside the encoder, and the sound up to a time."""
        if self._stream is not None:
            self._container.mux(self._stream.encode())
            if self._sound is not None:
                self._sound.copy_to(self._container, None if end is None else Fraction(end))

    def _add_stream(self, picture: UInt8[np.ndarray, "h w 3"]) -> "VideoStream":
        height, width = picture.shape[:2]
        if max(height, width) > _MOST_SIDE:
            raise ValueError(
                f"frames of {width}x{height} pixels; a video takes sides of at most "
                f"{_MOST_SIDE:,}; write the maps alone (--no-overlay)"
            )
        rate = self.rate.limit_denominator(10_000)
        stream = self._container.add_stream("libx264", rate=rate)
        stream.height, stream.width = height, width
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": self.config.preset, "crf": str(self.config.crf)}
        context = stream.codec_context
        context.time_base, context.thread_count = Fraction(1, _TICKS), self.config.threads
        if self._sound is not None:
            self._sound.add_stream(self._container, self._begin)
        return stream


class Sound:
    """Sound of a clip, copied without encoding it again."""

    def __init__(self, container: "InputContainer", origin: Fraction) -> None:
        """Take a clip whose first audio stream `can_copy`, and its first frame's time stamp."""
        self._source, self._origin = container.streams.audio[0], origin
        self._packets = container.demux(self._source)
        self._waiting: av.Packet[AudioStream] | None = None
        self._target: AudioStream | None = None
        self._shift = 0
        self.lost = 0
        """Packets so damaged that they were left out."""

    def add_stream(self, container: "OutputContainer", begin: Fraction) -> None:
        """Add the stream to a file that begins at a time of the clip."""
        self._target = container.add_stream_from_template(self._source)
        base = Fraction(self._source.time_base or 1)
        self._shift = round((self._origin + begin) / base)
        self._waiting = next(self._packets, None)

    def copy_to(self, container: "OutputContainer", until: Fraction | None) -> None:
        """Copy the sound up to a time of the clip, or all that is left."""
        base = Fraction(self._source.time_base or 1)
        while (packet := self._waiting) is not None:
            pts = packet.pts
            if pts is not None:
                if until is not None and pts * base - self._origin > until:
                    return
                packet.pts = pts - self._shift
                packet.dts = packet.dts - self._shift if packet.dts is not None else packet.pts
                if packet.pts >= 0 and self._target is not None:
                    packet.stream = self._target
                    self._mux(packet, container)
            self._waiting = self._next()

    def _mux(self, packet: "av.Packet[AudioStream]", container: "OutputContainer") -> None:
        av = import_extra("video", "av")
        try:
            container.mux(packet)
        except av.error.FFmpegError as error:
            if isinstance(error, OSError):  # of the disk
                raise
            self.lost += 1

    def _next(self) -> "av.Packet[AudioStream] | None":
        av = import_extra("video", "av")
        try:
            return next(self._packets, None)
        except (av.error.FFmpegError, OSError):  # the end of a damaged clip
            return None


@contextmanager
def writing_clip(
    path: Path, config: EncoderConfig, rate: Fraction, sound: Sound | None = None
) -> Iterator[ClipWriter]:
    """Write a video that appears when the ``with`` block ends without error.

    Args:
        path: The file, which ends in ``.mp4``.
        config: Settings of the encoder.
        rate: About how many frames there are per second.
        sound: Sound to copy; ``None`` for silence.

    Raises:
        ValueError: If the encoder refuses the pictures.
        OSError: If the disk is full.
    """
    av = import_extra("video", "av")
    with replacing(path) as temporary, _naming(path), ExitStack() as stack:
        options = {"movflags": "faststart"}
        container = av.open(str(temporary), "w", format="mp4", container_options=options)
        stack.enter_context(container)
        yield ClipWriter(container, config, rate, sound)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name the video in errors of writing it, instead of its temporary file."""
    av = import_extra("video", "av")
    try:
        yield
    except av.error.FFmpegError as error:
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise ValueError(f"{path}: can't be written ({error.strerror or error})") from error


def can_copy(sound: str) -> bool:
    """Return whether an MP4 can hold audio of a codec as it is."""
    return sound.removesuffix("float") in _SOUND


def _even(picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "H W 3"]:
    """Repeat the last row and column if their number is odd."""
    height, width = picture.shape[:2]
    if height % 2 or width % 2:
        picture = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(picture)
