"""Clips to segment: files that are recognised by name and content, and live streams by address."""

import re
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from jsisnet.files.photos import printable_path
from jsisnet.files.regular import irregular
from jsisnet.files.stamps import Stamp, stamp

SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("3gp", "asf", "avi", "flv", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts"),
        *("ogv", "ts", "webm", "wmv", "y4m"),
    )
)
"""Suffixes of clips, in lower case."""

_HEADER = 12
"""Bytes by which the content of a clip is recognised."""

_MATROSKA, _FLASH, _AVI = b"\x1aE\xdf\xa3", b"FLV\x01", b"AVI "

_STILL_BRANDS = frozenset((b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1"))
"""Brands of files in the form of MP4 that hold a photo."""

_SCHEME = re.compile(r"(rtsps?|rtmps?|https?|udp|rtp|srt)://.", re.IGNORECASE)

_DEVICE = re.compile(r"(/dev/video)?(\d{1,3})")


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip to segment."""

    source: Path | str
    """Its file, or the address of a live stream: a URL, or a camera such as ``/dev/video0``."""

    name: str
    """Name of the folder of its results."""

    @property
    def live(self) -> bool:
        """Whether it is a stream, which can't be read twice."""
        return isinstance(self.source, str)

    @property
    def title(self) -> str:
        """What the user knows it by, in one line; without the password that a URL may have."""
        text = re.sub(r"(?<=://)[^/@]*@", "", str(self.source))
        return printable_path(text)

    @property
    def camera(self) -> str | None:
        """Device of a camera, or ``None``."""
        match = _DEVICE.fullmatch(self.source) if isinstance(self.source, str) else None
        return match and f"/dev/video{match[2]}"

    def stamp(self) -> Stamp:
        """Return what tells whether the clip is still the same."""
        if isinstance(self.source, Path):
            return stamp(self.source)
        return [self.source, time.time_ns()]


def stream(address: str) -> Clip:
    """Return the live stream of an address.

    Raises:
        ValueError: If it is neither a URL nor a camera.
    """
    camera = _DEVICE.fullmatch(address)
    if camera:
        return Clip(address, f"camera{camera[2]}")
    if not _SCHEME.match(address):
        raise ValueError(
            f"{printable_path(address)}: not a stream; expected a URL such as rtsp://camera/live, "
            "or a camera such as 0 or /dev/video0"
        )
    last = PurePosixPath(re.split("[?#]", address)[0]).stem
    return Clip(address, re.sub(r"[^\w-]+", "_", last).strip("_") or "stream")


def is_clip(path: Path) -> bool:
    """Return whether a file is a clip, by its suffix or its first bytes."""
    if not path.is_file():
        return path.suffix.lower() in SUFFIXES and irregular(path) is not None
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return _begins_a_clip(file.read(_HEADER))
    except OSError:  # which reading it as a photo will say better
        return False


def _begins_a_clip(header: bytes) -> bool:
    if header[4:8] == b"ftyp":
        return header[8:12] not in _STILL_BRANDS
    isavi = header[:4] == b"RIFF" and header[8:12] == _AVI
    return isavi or header.startswith((_MATROSKA, _FLASH))
