"""Tiles that a picture of any size is divided into."""

from dataclasses import dataclass
from itertools import pairwise

from jsisnet.checks import check_fractions, check_ranges

_SIDE = 1024
"""Side in pixels of the tiles for networks that take any size."""

_PART = 8
"""Part of the shorter side of a tile that it shares with its neighbour."""

_MOST = 16_384
"""Longest side of a tile in pixels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TileConfig:
    """How pictures are divided into tiles, and the maps of the tiles joined."""

    size: tuple[int, int] | None = None
    """Height and width of a tile in pixels; ``None`` for those of the network's input, which then
    sees each tile as it is, or 1024 if it takes any size."""

    overlap: int | None = None
    """Least number of pixels that neighbours share; ``None`` for an eighth of the shorter side."""

    min_overlap: float = 0.5
    """IoU above which two things of one class in neighbouring tiles are one, among the pixels that
    both tiles see."""

    def __post_init__(self) -> None:
        if self.size is not None:
            check_ranges(self, "tile ", size=(8, _MOST))
        if self.overlap is not None:
            check_ranges(self, "tile ", overlap=(0, _MOST))
            self._check_overlap(self.overlap)
        check_fractions(self, "min_overlap")

    def _check_overlap(self, overlap: int) -> None:
        if self.size is not None and 2 * overlap > min(self.size):
            raise ValueError(
                f"tiles of {self.size[1]} x {self.size[0]} pixels overlap by {overlap}; expected "
                f"at most half, {min(self.size) // 2}"
            )

    def grid(self, size: tuple[int, int], network: tuple[int, int] | None) -> "Grid":
        """Divide a picture.

        Args:
            size: Height and width of the picture.
            network: Height and width of the network's input, if it has one.

        Raises:
            ValueError: If the overlap is more than half a tile.
        """
        chosen = self.size or network or (_SIDE, _SIDE)
        overlap = min(chosen) // _PART if self.overlap is None else self.overlap
        sized = TileConfig(size=chosen, overlap=overlap)
        assert sized.size is not None
        rows, columns = (
            spans(length, tile, overlap) for length, tile in zip(size, sized.size, strict=True)
        )
        return Grid(rows, columns)


@dataclass(frozen=True, slots=True)
class Span:
    """Rows or columns of a tile."""

    whole: range
    """Those that the network sees."""

    core: range
    """Those nearer to its middle than to those of other tiles; all cores are the whole side."""


def spans(length: int, tile: int, overlap: int) -> tuple[Span, ...]:
    """Divide a side of a picture into tiles of one length, spread evenly.

    Args:
        length: Pixels of the side.
        tile: Pixels of a tile; a shorter side is one tile.
        overlap: Least number of pixels that neighbours share; less than a tile has.
    """
    if length <= tile:
        return (Span(range(length), range(length)),)
    count = -(-(length - overlap) // (tile - overlap))
    starts = [number * (length - tile) // (count - 1) for number in range(count)]
    cuts = [(start + before + tile) // 2 for before, start in pairwise(starts)]
    cores = zip([0, *cuts], [*cuts, length], strict=True)
    return tuple(
        Span(range(start, start + tile), range(*core))
        for start, core in zip(starts, cores, strict=True)
    )


def zone(first: Span, second: Span) -> range:
    """Return the rows or columns that two neighbours see, in which one may end and the other begin.

    The middle is the end of the first core. Zones do not overlap, even if three tiles do.
    """
    middle = second.core.start
    cores = min(len(first.core), len(second.core)) // 2
    half = min(middle - second.whole.start, first.whole.stop - middle, cores)
    return range(middle - half, middle + half)


@dataclass(frozen=True, slots=True)
class Grid:
    """Tiles of a picture."""

    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the picture."""
        return self.rows[-1].whole.stop, self.columns[-1].whole.stop

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)
