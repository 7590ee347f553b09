"""What formats have in common when maps are written: how it is done, and what gets lost."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from jsisnet.categories import Categories
from jsisnet.files.json_fields import Entry
from jsisnet.panoptic import PanopticMap

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
