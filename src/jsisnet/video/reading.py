"""Frames of a clip in display order: upright, RGB, and with their times."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jsisnet.arrays import UInt8
from jsisnet.files.memory import check_memory, picture_memory
from jsisnet.files.regular import irregular
from jsisnet.lazy import import_extra
from jsisnet.video.clips import Clip

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

FORMATS = (
    "3gp,asf,avi,dv,flv,h264,hevc,ivf,m4v,matroska,mjpeg,mov,mp4,mpeg,mpegts,mpegvideo,ogg,"
    "rawvideo,swf,webm,yuv4mpegpipe"
)
"""Containers of files that are read: none of them names other files."""

_PROTOCOLS = "crypto,http,https,httpproxy,rtmp,rtmps,rtp,srt,srtp,tcp,tls,udp"
"""What a stream may be read by; a playlist from elsewhere must not name files of this machine."""

_TIMEOUT = 15.0
"""Seconds for which a stream may be silent."""

_BYTES_PER_PIXEL = 48
"""Memory for a pixel of a frame: decoded frames, the photo, its map and its overlay."""

_QUARTER = 90
"""Degrees of a turn that an upright frame may need, and multiples of it."""

_MISSING = 1.5
"""Frames by which a clip may be shorter than it says."""


_TRANSPORT_PACKETS = (188, 192, 204)
"""Bytes of the packets that files for broadcasting (MPEG-TS) consist of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Which frames of a clip are taken."""

    stride: int = 1
    """Every so many frames one is taken, 1 to 1,000,000."""

    start: float = 0.0
    """Time of the first frame in seconds, 0 or more."""

    end: float | None = None
    """Time in seconds that all frames are before; ``None`` for the end of the clip."""

    def __post_init__(self) -> None:
        if not 1 <= self.stride <= 10**6:
            raise ValueError(f"stride is {self.stride}; expected 1 to 1,000,000")
        if not 0 <= self.start < float("inf"):
            raise ValueError(f"start is {self.start:g}; expected 0 seconds or more")
        if self.end is not None and not self.end > self.start:
            raise ValueError(f"end is {self.end:g}; expected more than start, {self.start:g} s")

    def takes(self, index: int, time: Fraction) -> bool:
        """Return whether a frame is taken."""
        return index % self.stride == 0 and float(time) >= self.start


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A frame of a clip."""

    index: int
    """Its number in the clip, from 0, whether or not those before it are taken."""

    time: Fraction
    """Seconds since the first frame of the clip."""

    image: UInt8[np.ndarray, "h w 3"]
    """Its pixels, upright and RGB."""


@dataclass(slots=True)
class ClipReader:
    """An open clip, whose frames are read by iterating over it once."""

    clip: Clip
    selection: Selection
    container: "InputContainer"
    stream: "VideoStream"
    origin: Fraction = Fraction(0)
    """Time stamp of the first frame in seconds, once it is read."""
    problems: list[str] = field(default_factory=list)
    """What was wrong with the clip, once all frames are read."""
    _size: tuple[int, int] | None = None
    _damaged: int = 0
    _packets: int = 0
    _last: Fraction = Fraction(-1)
    _stamps: deque[int] = field(default_factory=deque)
    """Time stamps of an AVI's packets. It has those of packets alone, in the order in which they
    are decoded, so the first frame that is shown has the first stamp, and so on."""

    @property
    def rate(self) -> Fraction:
        """Frames per second, on the average or as the clip says."""
        found = self.stream.average_rate or self.stream.guessed_rate
        return Fraction(found) if found else Fraction(25)

    def frames(self) -> int | None:
        """Return about how many frames are taken, if the clip says how long it is."""
        duration, rate = self._duration(), self.rate
        if duration is None and self.stream.frames:
            duration = self.stream.frames / rate
        end = self.selection.end
        if duration is None and end is None:
            return None
        known = [Fraction(each) for each in (duration, end) if each is not None]
        seconds = max(Fraction(0), min(known) - Fraction(self.selection.start))
        return max(1, round(seconds * rate / self.selection.stride))

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames that are taken.

        Raises:
            ValueError: If there is none.
        """
        count, taken, isstopped = 0, 0, False
        for index, frame in enumerate(self._decoded()):
            count += 1
            time = self._time(frame, index)
            end = self.selection.end
            if end is not None and float(time) >= end:
                isstopped = True
                break
            if self.selection.takes(index, time):
                taken += 1
                yield Frame(index, time, self._upright(frame))
        self._note_damage(count, isstopped=isstopped)
        if not taken:
            raise ValueError(f"{self.clip.title}: {self._why_none(count)}")

    def _decoded(self) -> "Iterator[av.VideoFrame]":
        """Decode packets, also those after damaged ones."""
        errors = import_extra("video", "av").error
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
            except (errors.FFmpegError, OSError) as error:
                self.problems.append(f"reading failed ({_reason(error)})")
                return
            if packet is None:
                return
            self._packets += packet.size > 0
            self._damaged += packet.is_corrupt
            if self.container.format.name == "avi" and packet.size and packet.dts is not None:
                self._stamps.append(packet.dts)
            try:
                yield from packet.decode()
            except errors.FFmpegError:
                self._damaged += 1
                if self._stamps:
                    self._stamps.pop()

    def _time(self, frame: "av.VideoFrame", index: int) -> Fraction:
        """Return the time of a frame, which is later than that of the one before."""
        base, pts = frame.time_base, self._stamps.popleft() if self._stamps else frame.pts
        stamp = index / self.rate if pts is None or base is None else pts * Fraction(base)
        if not index:
            self.origin = stamp
        time = stamp - self.origin
        if time <= self._last:
            time = self._last + 1 / self.rate
        self._last = time
        return time

    def _upright(self, frame: "av.VideoFrame") -> UInt8[np.ndarray, "h w 3"]:
        """Return the pixels of a frame; one of another size than the first is resized to it."""
        size = self._size = self._size or (frame.height, frame.width)
        pixels = frame.to_ndarray(format="rgb24", height=size[0], width=size[1])
        turns = round(frame.rotation / _QUARTER) % 4
        return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels

    def _duration(self) -> Fraction | None:
        base, duration = self.stream.time_base, self.stream.duration
        if duration is not None and base is not None:
            return duration * Fraction(base)
        return Fraction(self.container.duration, 10**6) if self.container.duration else None

    def _note_damage(self, count: int, *, isstopped: bool) -> None:
        if self._damaged:
            plural = "s" if self._damaged > 1 else ""
            self.problems.append(f"{self._damaged} damaged packet{plural}")
        if isstopped or not count or self.clip.live:
            return
        if self._ends_within_a_packet():
            self.problems.append("ends in the middle of a packet")
        duration = self._duration()
        if duration is None:
            return
        missing = duration - self._last - 1 / self.rate
        isshort = self._packets < self.stream.frames if self.stream.frames else missing > 1
        if isshort and missing * self.rate > _MISSING:
            self.problems.append(
                f"ends after {float(self._last):.2f} of {float(duration):.2f} seconds"
            )

    def _ends_within_a_packet(self) -> bool:
        """Return whether a file for broadcasting, which does not say how long it is, was cut."""
        if self.container.format.name != "mpegts" or not isinstance(self.clip.source, Path):
            return False
        size = self.clip.source.stat().st_size
        return all(size % packet for packet in _TRANSPORT_PACKETS)

    def _why_none(self, count: int) -> str:
        problems = f" ({'; '.join(self.problems)})" if self.problems else ""
        if not count:
            return f"no frame could be read{problems}; expected a video"
        return (
            f"no frame from {self.selection.start:g} s on; it ends after "
            f"{float(self._last):.2f} s{problems}"
        )


@contextmanager
def open_clip(clip: Clip, selection: Selection | None = None) -> Iterator[ClipReader]:
    """Open a clip.

    Args:
        clip: The clip.
        selection: Which frames are taken; all by default.

    Raises:
        ValueError: If it is no video, has no video stream, or its frames would take more memory
            than `picture_memory`. The message names it.
        ImportError: If PyAV is not installed; the extra `video` provides it.
    """
    import_extra("video", "av")
    with naming(clip):
        container = _opened(clip)
    with container:
        with naming(clip):
            stream = _video_stream(container)
        yield ClipReader(clip, selection or Selection(), container, stream)


@contextmanager
def open_sound(clip: Clip) -> "Iterator[InputContainer | None]":
    """Open a clip that is a file once more, for its sound; ``None`` if it has none."""
    with naming(clip):
        container = _opened(clip)
    with container:
        yield container if container.streams.audio else None


@contextmanager
def naming(clip: Clip) -> Iterator[None]:
    """Name the clip in errors of opening it."""
    av = import_extra("video", "av")
    try:
        yield
    except av.error.FFmpegError as error:
        hint = "" if clip.live else ", with its beginning and end"
        kind = f"a {'stream' if clip.live else 'video'}{hint}"
        reason = _reason(error)
        raise ValueError(f"{clip.title}: can't be opened ({reason}); expected {kind}") from error
    except OSError as error:
        raise ValueError(f"{clip.title}: {error.strerror or error}") from error
    except ValueError as error:
        raise ValueError(f"{clip.title}: {error}") from error


def _opened(clip: Clip) -> "InputContainer":
    av = import_extra("video", "av")
    if clip.camera is not None:
        if "video4linux2,v4l2" not in av.formats_available:
            raise ValueError("cameras can be read on Linux only; give the URL of a stream")
        return av.open(clip.camera, format="video4linux2", metadata_errors="replace")
    if isinstance(clip.source, str):
        options = {"protocol_whitelist": _PROTOCOLS, "rtsp_transport": "tcp"}
        return av.open(
            clip.source, container_options=options, timeout=_TIMEOUT, metadata_errors="replace"
        )
    found = irregular(clip.source)
    if found is not None:
        raise ValueError(found)
    if not clip.source.stat().st_size:
        raise ValueError("empty; expected a video")
    # With its protocol, no name is taken for a URL.
    options = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
    return av.open(
        f"file:{clip.source.absolute()}", container_options=options, metadata_errors="replace"
    )


def _video_stream(container: "InputContainer") -> "VideoStream":
    """Return the first video stream that is no cover picture."""
    av = import_extra("video", "av")
    cover = av.stream.Disposition.attached_pic
    streams = [each for each in container.streams.video if not each.disposition & cover]
    if not streams:
        others = ", ".join(sorted({each.type for each in container.streams}))
        raise ValueError(f"no video in it{others and f', only {others}'}; expected a video")
    context = streams[0].codec_context
    if context is None:
        raise ValueError("its video has an unknown codec; convert it, for example to H.264")
    height, width = context.height, context.width
    check_memory(_BYTES_PER_PIXEL * height * width, f"frames of {width}x{height} pixels")
    # The size may grow later in the stream.
    context.options = {"max_pixels": str(picture_memory() // _BYTES_PER_PIXEL)}
    context.thread_type = "AUTO"
    return streams[0]


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or f"{error}"
