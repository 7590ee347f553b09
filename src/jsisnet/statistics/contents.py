"""What each map of a data set holds."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from jsisnet.files.processes import in_order
from jsisnet.formats.records import Record


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MapContents:
    """What one map holds; segments without pixels are left out."""

    size: tuple[int, int]
    """Height and width in pixels."""

    numbers: Int64[np.ndarray, " n"]
    """Places of the segments in the map, ascending."""

    labels: Int64[np.ndarray, " n"]
    """Their classes."""

    areas: Int64[np.ndarray, " n"]
    """Their pixels."""

    crowds: Bool[np.ndarray, " n"]
    """Whether they are crowds."""


def contents(
    records: Sequence[Record], *, processes: int = 1
) -> Generator[MapContents, None, None]:
    """Read maps one after the other and tell what each holds.

    Args:
        records: Images whose maps are read.
        processes: How many share the work.

    Returns:
        The contents in order; whoever needs no more closes it.

    Raises:
        ValueError: If a map breaks a rule; the message names its file.
    """
    yield from in_order(_Work(records=tuple(records)), len(records), processes)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Work:
    """Reads maps."""

    records: tuple[Record, ...]

    def __call__(self, rank: int, workers: int) -> Iterator[MapContents]:
        for record in self.records[rank::workers]:
            yield _contents(record)


def _contents(record: Record) -> MapContents:
    panoptic = record.read()
    areas = panoptic.areas()
    present = np.flatnonzero(areas)
    segments = [panoptic.segments[i] for i in present.tolist()]
    return MapContents(
        size=panoptic.size,
        numbers=present,
        labels=np.array([segment.label for segment in segments], np.int64),
        areas=areas[present],
        crowds=np.array([segment.iscrowd for segment in segments], bool),
    )
