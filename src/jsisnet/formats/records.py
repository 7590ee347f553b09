"""What every kind of data set looks like once it is opened: classes, and one record per image."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from jsisnet.categories import UNKNOWN, Categories
from jsisnet.formats.coded import looked_up
from jsisnet.panoptic import VOID, ImageId, PanopticMap


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
