"""What every kind of data set looks like once it is opened: classes, and one record per image."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np

from jsisnet.categories import UNKNOWN, Categories
from jsisnet.files.json_fields import Entry
from jsisnet.formats.coded import looked_up
from jsisnet.panoptic import VOID, ImageId, PanopticMap, Segment

INDEX = "index.json"
"""Name of the JSON file that lists images and classes beside maps that have no such file."""

INSTANCES = "instances.json"
"""Name of the COCO instances file that lists things, of formats that have one."""

EMPTY = "segments without a pixel, which are left out"
SCORES = "scores, for which the format has no room"
CROWDS = "crowds, which are void now"
JOINED = "crowd regions beside another one of their class, which are one with it now"


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What became of a map."""

    lost: Mapping[str, int]
    """How much of each kind the format could not hold."""

    annotation: Entry | None = None
    """What the index says about it, besides the image."""

    instances: tuple[Entry, ...] = ()
    """What the instances file says about its things, besides image and number."""


@runtime_checkable
class Target(Protocol):
    """Maps to write in some format."""

    index: ClassVar[str]
    """Name of the JSON file that lists images and classes."""

    instances: ClassVar[str | None]
    """Name of the JSON file that lists images, things and their classes, if there is one."""

    @property
    def folder(self) -> Path:
        """Receives the maps and the index."""

    @property
    def categories(self) -> Categories:
        """Classes with the ids that are written."""

    def write(self, panoptic: PanopticMap, stem: str) -> Written:
        """Write a map, whose labels are those of `categories`.

        Raises:
            ValueError: If the format can't hold it.
        """


def joined_crowds(panoptic: PanopticMap) -> int:
    """Count the crowds that are lost where an image has one of each class."""
    crowds = Counter(segment.label for segment in panoptic.segments if segment.iscrowd)
    return crowds.total() - len(crowds)


def scored(panoptic: PanopticMap) -> int:
    """Count the segments that have a score."""
    return sum(segment.score is not None for segment in panoptic.segments)


def relabelled(panoptic: PanopticMap, labels: Sequence[int], categories: Categories) -> PanopticMap:
    """Give the segments of a map their labels in other classes.

    Stuff segments that get the same label become one, in the place of the first of them, because
    an image has at most one segment of a stuff class. Things stay apart; one that becomes stuff is
    no crowd any more, because stuff has none.

    Args:
        panoptic: Map in the classes of its source.
        labels: For each label of the source the label in `categories`; see `labels_of`.
        categories: The classes to speak of.
    """
    segments: list[Segment] = []
    stuff: dict[int, int] = {}
    numbers = np.zeros(len(panoptic.segments) + 1, np.int32)
    for i, segment in enumerate(panoptic.segments, 1):
        label = labels[segment.label]
        isthing = categories[label].isthing
        if not isthing and label in stuff:
            numbers[i] = stuff[label]
            continue
        iscrowd = segment.iscrowd and isthing
        segments.append(replace(segment, label=label, isthing=isthing, iscrowd=iscrowd))
        numbers[i] = len(segments)
        if not isthing:
            stuff[label] = len(segments)
    merged = len(segments) < len(panoptic.segments)
    return PanopticMap(numbers[panoptic.ids] if merged else panoptic.ids, tuple(segments))


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One image and its truth."""

    image_id: ImageId
    """Unique within the source."""

    name: str
    """Path of the photo inside its folder, with ``/``; the photo itself may be elsewhere."""

    image: Path | None
    """The photo, which may not exist; ``None`` if nobody said where photos are."""

    size: tuple[int, int] | None
    """Height and width in pixels, if they are known before the map is read."""

    read: Callable[[], PanopticMap]
    """Read the map. A `ValueError` names the file and says what is wrong with it."""

    png: Path | None = None
    """File of the map, which may not exist; ``None`` if the map has none of its own, or it was seen
    when the source was opened."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A data set in any format."""

    categories: Categories
    """Classes that the maps speak of."""

    records: tuple[Record, ...]
    """One for each image, in a stable order. They can be sent to other processes."""

    def __repr__(self) -> str:
        return f"Source({len(self.records)} images, {self.categories!r})"


def without_unknown(panoptic: PanopticMap, labels: Sequence[int]) -> PanopticMap:
    """Give the segments of a map new labels, and make those without one void.

    Args:
        panoptic: The map.
        labels: The new label of each old one, or `UNKNOWN`.
    """
    kept = [i for i, s in enumerate(panoptic.segments) if labels[s.label] != UNKNOWN]
    segments = tuple(
        replace(panoptic.segments[i], label=labels[panoptic.segments[i].label]) for i in kept
    )
    if len(kept) == len(panoptic.segments):
        return PanopticMap(panoptic.ids, segments)
    numbers = np.full(len(panoptic.segments) + 1, VOID, np.int32)
    numbers[np.array(kept, np.int64) + 1] = np.arange(1, len(kept) + 1)
    return PanopticMap(looked_up(numbers, panoptic.ids), segments)
