"""Sources and targets: what a data set looks like once it is open, whatever its format."""

import io
import os
import pickle
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from jsisnet.categories import UNKNOWN, Categories
from jsisnet.files.archives import StoredFile
from jsisnet.files.json_fields import Entry
from jsisnet.formats.pixel_codes import lookup
from jsisnet.panoptic import VOID, ImageId, PanopticMap, Segment

INDEX = "index.json"
"""JSON file that lists images and classes, in formats that have no such file of their own."""

INSTANCES = "instances.json"
"""COCO instances file that lists the things, in formats that have one."""

EMPTY = "segments without any pixel"
SCORES = "scores"
CROWDS = "crowd regions, which became void"
MERGED_CROWDS = "crowd regions that were merged with another crowd of the same class"
"""What a format may be unable to store, as shown after a conversion."""

_HASHED_AT_ONCE = 100
"""Records that are pickled at a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One image and its ground truth."""

    image_id: ImageId
    """Unique within the source."""

    name: str
    """Path of the photo inside its folder, with ``/``; the photo itself may be elsewhere."""

    image: Path | None
    """The photo, which may not exist; ``None`` if the folder of the photos is unknown."""

    size: tuple[int, int] | None
    """Height and width in pixels as listed, if they are; they may be swapped: see
    `istransposed`."""

    read: Callable[[], PanopticMap]
    """Read the map. A `ValueError` names the file and the problem."""

    maps: tuple[StoredFile, ...] = ()
    """Files that `read` opens, which may not exist; a path may lead into a zip."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """An open data set."""

    categories: Categories
    """Classes of the maps."""

    records: tuple[Record, ...]
    """One for each image, in a stable order; they can be pickled."""

    warnings: tuple[str, ...] = ()
    """What the files have that their format does not allow, but that was read all the same; each
    says how often, and gives the first example."""

    def digest(self) -> str:
        """Return a hash that differs for other images, annotations, classes, files or options.

        What the files hold apart from the annotations is not part of it; see `files.stamps`.
        """
        digest = sha256(_pickle(self.categories))
        # A record holds all that its map depends on. Many at a time share their classes.
        for begin in range(0, len(self.records), _HASHED_AT_ONCE):
            digest.update(_pickle(self.records[begin : begin + _HASHED_AT_ONCE]))
        return digest.hexdigest()

    def __repr__(self) -> str:
        return f"Source({len(self.records)} images, {self.categories!r})"


class _Pickler(pickle.Pickler):
    """Pickler for which a path is the same however it is spelled."""

    def reducer_override(self, obj: object) -> Any:  # noqa: ANN401 - what pickle takes
        if isinstance(obj, Path):
            return str, (os.path.abspath(obj),)  # noqa: PTH100 - links are none of its concern
        return NotImplemented


def _pickle(values: object) -> bytes:
    stream = io.BytesIO()
    _Pickler(stream).dump(values)
    return stream.getvalue()


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """Result of writing a map."""

    lost: Mapping[str, int]
    """Number of items of each kind that the format could not store."""

    files: tuple[str, ...]
    """Paths of the files that were written, inside the folder of the target."""

    annotation: Entry | None = None
    """Entry of the map in the index, without the image id."""

    instances: tuple[Entry, ...] = ()
    """Entries of its things in the instances file, without their own and the image id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A data set to write."""

    folder: Path
    """Receives the maps and the index."""

    categories: Categories
    """Classes with the ids that are written."""

    write_map: Callable[[Path, Categories, PanopticMap, str], Written]
    """Writes one map, given `folder`, `categories`, the map and its path without suffix."""

    index: str = INDEX
    """Name of the JSON file that lists images and classes."""

    instances: str | None = None
    """Name of the JSON file that lists the things and their classes, if there is one."""

    def write(self, panoptic: PanopticMap, stem: str) -> Written:
        """Write a map.

        Args:
            panoptic: Map whose labels are those of `categories`.
            stem: Path of the map inside its folder, without suffix.

        Raises:
            ValueError: If the format cannot store the map.
        """
        return self.write_map(self.folder, self.categories, panoptic, stem)


def istransposed(listed: tuple[int, int] | None, found: tuple[int, int]) -> bool:
    """Whether a listed size has height and width swapped, as some tools write it."""
    return listed is not None and listed != found and listed == found[::-1]


def describe_swapped(names: Sequence[str], total: int) -> str:
    """Describe images whose maps are as large as listed only if height and width are swapped.

    Args:
        names: Their photos.
        total: Number of all images.
    """
    return (
        f"{len(names):,} of {total:,} images are listed with height and width swapped, such as "
        f"{names[0]}; the size of the maps counts"
    )


def count_merged_crowds(panoptic: PanopticMap) -> int:
    """Count the crowd regions that are lost if an image has at most one for each class."""
    crowds = Counter(segment.label for segment in panoptic.segments if segment.iscrowd)
    return crowds.total() - len(crowds)


def count_scores(panoptic: PanopticMap) -> int:
    """Count the segments with a score."""
    return sum(segment.score is not None for segment in panoptic.segments)


def relabel(panoptic: PanopticMap, labels: Sequence[int], categories: Categories) -> PanopticMap:
    """Convert a map to other classes.

    Stuff segments that get the same label become one, at the position of the first, because an
    image has at most one segment of each stuff class. Things stay separate. A thing that becomes
    stuff is no longer a crowd, because stuff has no crowds.

    Args:
        panoptic: Map in its own classes.
        labels: For each of these, the label in `categories`; see `Categories.labels_of`.
        categories: The new classes.
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


def drop_unknown(panoptic: PanopticMap, labels: Sequence[int]) -> PanopticMap:
    """Assign new labels to the segments, and turn those without one into void.

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
    return PanopticMap(lookup(numbers, panoptic.ids), segments)


def size_text(size: Sequence[int] | None) -> str:
    """Format a height and width for a message, such as ``480x640``."""
    return "x".join(map(str, size or ()))
