"""Made-up clips of moving shapes, whose objects are known in every frame."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from jsisnet.panoptic import PanopticMap, Segment


@dataclass(frozen=True)
class Shape:
    """A thing that moves steadily; later ones of a list are in front."""

    label: int
    start: tuple[float, float]
    """Centre in frame 0: row and column."""
    speed: tuple[float, float] = (0.0, 0.0)
    """Rows and columns per frame."""
    size: tuple[int, int] = (12, 12)
    isthing: bool = True
    hidden: frozenset[int] = frozenset()
    """Frames in which it is not seen."""
    color: tuple[int, int, int] = (200, 30, 30)

    def mask(self, frame: int, size: tuple[int, int]) -> np.ndarray:
        """Return its pixels: an ellipse, or for stuff a rectangle."""
        rows, columns = np.mgrid[: size[0], : size[1]]
        down = (rows - self.start[0] - frame * self.speed[0]) / (self.size[0] / 2)
        right = (columns - self.start[1] - frame * self.speed[1]) / (self.size[1] / 2)
        if not self.isthing:
            return (abs(down) <= 1) & (abs(right) <= 1)
        return down**2 + right**2 <= 1


@dataclass(frozen=True)
class DrawnFrame:
    """A frame, its map, and which shape each segment is."""

    image: np.ndarray
    panoptic: PanopticMap
    truth: tuple[int | None, ...]
    """Index of the shape of each segment; ``None`` for the background."""


def drawn(
    shapes: Sequence[Shape], frame: int, size: tuple[int, int], background: int
) -> DrawnFrame:
    """Draw a frame: shapes on a background of one stuff class."""
    ids = np.ones(size, np.int32)
    image = np.full((*size, 3), 230, np.uint8)
    segments, truth = [Segment(label=background, isthing=False)], [None]
    for index, shape in enumerate(shapes):
        segments.append(
            Segment(label=shape.label, isthing=shape.isthing, score=0.9 if shape.isthing else None)
        )
        truth.append(index)
        if frame not in shape.hidden:
            mask = shape.mask(frame, size)
            ids[mask], image[mask] = index + 2, shape.color
    present = np.unique(ids)
    panoptic = PanopticMap.compact(ids, segments)
    return DrawnFrame(image, panoptic, tuple(truth[number - 1] for number in present.tolist()))


@dataclass(frozen=True)
class IdentityFigures:
    """How well ids keep to their objects."""

    right: float
    """Share of all sightings of things whose id is the one that its object mostly has."""
    switches: int
    """Number of times that an object has another id than when it was last seen."""
    shared: int
    """Number of ids that several objects have had."""


def identity_figures(sightings: Iterable[tuple[int, int]]) -> IdentityFigures:
    """Compare ids with objects.

    Args:
        sightings: Object and id of each thing, frame by frame.
    """
    sightings = list(sightings)
    counts: dict[int, Counter[int]] = {}
    objects: dict[int, Counter[int]] = {}
    last: dict[int, int] = {}
    switches = 0
    for thing, id_ in sightings:
        counts.setdefault(thing, Counter())[id_] += 1
        objects.setdefault(id_, Counter())[thing] += 1
        switches += last.get(thing, id_) != id_
        last[thing] = id_
    right = 0
    for thing, ids in counts.items():
        id_, count = ids.most_common(1)[0]
        right += count if objects[id_].most_common(1)[0][0] == thing else 0
    shared = sum(len(things) > 1 for things in objects.values())
    return IdentityFigures(right / max(1, len(sightings)), switches, shared)


def write(  # noqa: PLR0913 - kinds of clips
    path: Path,
    images: Iterable[np.ndarray],
    *,
    rate: int = 25,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    times: Sequence[int] | None = None,
    sound: str | None = None,
    turned: int = 0,
    seconds: float = 1.0,
) -> Path:
    """Write a clip.

    Args:
        path: The file, whose suffix chooses the container.
        images: The frames.
        rate: Frames a second.
        codec: Encoder.
        pixels: Format of the pixels.
        times: Times of the frames in milliseconds; by default those of the rate.
        sound: Encoder of a silent audio track; ``None`` for none.
        turned: Degrees by which players turn the frames.
        seconds: Length of the sound.
    """
    with av.open(str(path), "w", container_options={"movflags": "faststart"}) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.pix_fmt = pixels
        audio = None if sound is None else container.add_stream(sound, rate=48000)
        if turned:
            stream.set_display_rotation(turned)
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, image in enumerate(images):
            if not number:
                stream.height, stream.width = image.shape[:2]
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if audio is not None:
            _add_silence(container, audio, seconds)
    return path


def _add_silence(container, audio, seconds: float) -> None:  # noqa: ANN001 - of PyAV
    count = audio.codec_context.frame_size or 1024
    for number in range(round(48000 * seconds / count)):
        frame = av.AudioFrame(format=audio.format.name, layout="stereo", samples=count)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate, frame.pts = 48000, number * count
        container.mux(audio.encode(frame))
    container.mux(audio.encode())
