"""Segmentation of pictures of any size: in tiles, whose maps are joined on the disk."""

import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise
from math import ceil, sqrt
from pathlib import Path

import numpy as np
from PIL import Image

from jsisnet.arrays import Bool, Int32, UInt8, UInt32
from jsisnet.categories import Categories
from jsisnet.files.atomic import LOCK
from jsisnet.files.photos import MAX_JPEG_SIDE
from jsisnet.files.png import MAX_ID, read_ids, write_id_strips
from jsisnet.files.windows import Picture, Window, open_picture
from jsisnet.formats import coco
from jsisnet.inference.batch import BatchConfig, Listener, predict_photos, purpose_of_run
from jsisnet.inference.photo_files import Photo
from jsisnet.inference.photo_job import (
    COCO,
    FAILURES,
    FORMATS,
    Outcome,
    OutputConfig,
    PhotoJob,
    all_or_none,
)
from jsisnet.inference.result import write_overlay
from jsisnet.inference.results_folder import JOURNAL, PREDICTIONS, read_entries
from jsisnet.inference.seams import Joined, LoadTile, TileMap, join
from jsisnet.inference.tiles import Grid, TileConfig, zone
from jsisnet.panoptic import VOID, PanopticMap, Segment, row_strips
from jsisnet.visualize.overlay import draw
from jsisnet.visualize.palette import short_name

MAX_OVERLAY_PIXELS = 8_000_000
"""Most pixels of an overlay; those of larger pictures are reduced."""

_UNPACKED, _BAND = "pixels.raw", "band.raw"
"""Files of the pixels of a picture, and of the rows of ids that are not complete yet."""

_TILES = OutputConfig(overlay=None)
"""What is written of a tile."""

_FOLDER = ".jsisnet-tiles-"
"""Beginning of the name of a folder of tiles."""

_NAMES = (JOURNAL, LOCK, PREDICTIONS, _UNPACKED, _BAND)
_OURS = re.compile(rf"\d{{6}}_\d{{6}}\.png|{'|'.join(map(re.escape, _NAMES))}")
"""Names of the files in a folder of tiles."""

_TILES_PER_WORKER = 4
"""Tiles for which it pays to start another process, which has to load the network."""

_STRIP = 1 << 20
"""Pixels of the map that are written at once."""

_WINDOW = 1024
"""Side in pixels of the windows in which a picture is reduced, or a little more."""


def in_tiles(
    photos: Sequence[Photo], job: PhotoJob, config: BatchConfig, listener: Listener
) -> Iterator[Outcome]:
    """Segment photos of any size, one after another, each in tiles.

    The tiles of a photo are segmented as photos of their own, in a folder beside the results that
    is deleted at the end. So an interrupted run resumes at the tile at which it stopped, and
    several processes share the tiles.

    Args:
        photos: Files.
        job: What is predicted and written.
        config: How, with `BatchConfig.tiles`.
        listener: Functions that are told how the run goes.

    Yields:
        Outcomes in the order of the photos.
    """
    assert config.tiles is not None
    folders = {
        _folder_of_tiles(photo, job, config.tiles)
        for photo in photos
        if isinstance(photo.source, Path)
    }
    for folder in job.folder.glob(f"{_FOLDER}*"):  # left by runs of other pictures or settings
        if folder not in folders and folder.is_dir() and not folder.is_symlink():
            _discard(folder)
    for photo in photos:
        began = time.perf_counter()
        try:
            outcome = _segment(photo, job, config, listener)
        except FAILURES as error:
            yield Outcome(photo=photo, error=error)
        else:
            yield replace(outcome, seconds=time.perf_counter() - began)


def _segment(photo: Photo, job: PhotoJob, config: BatchConfig, listener: Listener) -> Outcome:
    if not isinstance(photo.source, Path):
        raise ValueError(f"{photo.title}: not a file on disk; expected one, to read it in tiles")
    if not job.config.fits(photo):
        raise ValueError(f"{photo.title}: its name is too long for those of its results; rename it")
    assert config.tiles is not None
    stamp = photo.stamp()
    folder = _folder_of_tiles(photo, job, config.tiles)
    with _holding(folder):
        picture = open_picture(photo.source, folder / _UNPACKED)
        grid = config.tiles.grid(picture.size, job.predictor.config.size)
        _segment_tiles(_tiles(picture, grid), folder, job, config, listener)
        segments, firsts = _segments_of_tiles(folder, job.predictor.categories)

        @lru_cache(3)
        def load(row: int, column: int) -> TileMap:
            ids = read_ids(folder / f"{_name(row, column)}.png")
            first = np.uint32(firsts[row * len(grid.columns) + column])
            numbers = np.where(ids, ids + first, np.uint32(VOID))
            return TileMap(grid.rows[row], grid.columns[column], numbers)

        joined = join(grid, load, segments, config.tiles.min_overlap)
        if len(joined.segments) > MAX_ID:
            raise ValueError(f"{len(joined.segments):,} segments; expected at most {MAX_ID:,}")
        outcome = _write(photo, picture, joined, _rows_of_ids(grid, load, joined, folder), job)
        if photo.stamp() != stamp:
            raise ValueError(f"{photo.title}: it changed while it was segmented; run it again")
        return outcome


def _folder_of_tiles(photo: Photo, job: PhotoJob, tiles: TileConfig) -> Path:
    """Return the folder for the tiles of a photo; what differs in anything has another one."""
    assert isinstance(photo.source, Path)
    described = photo.stamp(), asdict(tiles), purpose_of_run(job.predictor, _TILES)
    digest = sha256(repr(described).encode()).hexdigest()[:12]
    return job.folder / f"{_FOLDER}{digest}"


@contextmanager
def _holding(folder: Path) -> Iterator[None]:
    """Create the folder of tiles, and delete it; after an error keep the tiles that are done."""
    folder.mkdir(parents=True, exist_ok=True)
    keeps = False
    try:
        yield
    except BaseException:
        keeps = (folder / JOURNAL).exists()
        raise
    finally:
        if keeps:
            for name in (_UNPACKED, _BAND):
                (folder / name).unlink(missing_ok=True)
        else:
            _discard(folder)


def _discard(folder: Path) -> None:
    """Delete a folder of tiles, but no file that is not of them."""
    for path in folder.iterdir():
        if _OURS.fullmatch(path.name):
            path.unlink()
    with suppress(OSError):
        folder.rmdir()


def _name(row: int, column: int) -> str:
    return f"{row:06}_{column:06}"


def _tiles(picture: Picture, grid: Grid) -> list[Photo]:
    """Return the tiles of a picture as photos, row by row."""
    return [
        Photo(Window(picture, row.whole, column.whole), _name(i, j))
        for i, row in enumerate(grid.rows)
        for j, column in enumerate(grid.columns)
    ]


def _segment_tiles(
    tiles: Sequence[Photo], folder: Path, job: PhotoJob, config: BatchConfig, listener: Listener
) -> None:
    """Segment those tiles that no earlier run has segmented.

    Raises:
        ValueError: If one fails, after all others.
    """
    errors: list[Exception] = []
    done = 0

    def start(earlier: int, total: int) -> None:
        nonlocal done
        done = earlier
        listener.on_tile(done, total)

    def note(outcome: Outcome) -> None:
        nonlocal done
        done += 1
        if outcome.error is not None:
            errors.append(outcome.error)
        listener.on_tile(done, len(tiles))

    workers = min(config.workers, -(-len(tiles) // _TILES_PER_WORKER))
    predict_photos(
        tiles,
        job.predictor,
        folder,
        BatchConfig(outputs=_TILES, workers=workers, overwrite=config.overwrite),
        Listener(on_start=start, on_photo=note, on_warning=listener.on_warning),
    )
    if errors:
        count = f" (and {len(errors) - 1:,} other tiles failed)" if len(errors) > 1 else ""
        raise ValueError(f"{errors[0]}{count}") from errors[0]


def _segments_of_tiles(folder: Path, categories: Categories) -> tuple[list[Segment], list[int]]:
    """Return the segments of all tiles, and how many there are before each tile."""
    segments: list[Segment] = []
    firsts = []
    for entry in read_entries(folder):
        firsts.append(len(segments))
        for info in entry["segments_info"]:
            label = categories.label(info["category_id"])
            segments.append(
                Segment(label=label, isthing=bool(info["isthing"]), score=info.get("score"))
            )
    return segments, firsts


def _rows_of_ids(
    grid: Grid, load: LoadTile, joined: Joined, folder: Path
) -> Iterator[UInt32[np.ndarray, "rows w"]]:
    """Yield the ids of the whole picture, a few rows at a time.

    Those that tiles still share lie in a file meanwhile: wide pictures would take too much memory.
    """
    ends = [zone(*pair).start for pair in pairwise(grid.rows)]
    with (folder / _BAND).open("w+b", buffering=0) as file:
        band = _Band(file.fileno(), grid.size[1], 2 * len(grid.rows[0].whole))
        for i, done in enumerate(pairwise([0, *ends, grid.size[0]])):
            for j in range(len(grid.columns)):
                tile = load(i, j)
                band.write(tile, joined.ids[tile.numbers], joined.cuts.owned(i, j))
            yield from band.read(range(*done))


@dataclass(frozen=True, slots=True)
class _Band:
    """A file of some rows of ids, each of which takes the place of one that is not needed now."""

    descriptor: int
    width: int
    height: int

    def write(
        self, tile: TileMap, ids: UInt32[np.ndarray, "h w"], owned: Bool[np.ndarray, "h w"]
    ) -> None:
        """Write the ids of the pixels that belong to a tile."""
        for row, line, ours in zip(tile.rows.whole, ids, owned, strict=True):
            columns = np.flatnonzero(ours)
            if len(columns):
                part = slice(int(columns[0]), int(columns[-1]) + 1)
                place = self._place(row, tile.columns.whole.start + part.start)
                written = line[part].copy()
                if not ours[part].all():
                    os.preadv(self.descriptor, [written.data], place)
                    np.copyto(written, line[part], where=ours[part])
                os.pwrite(self.descriptor, written, place)

    def read(self, rows: range) -> Iterator[UInt32[np.ndarray, "rows w"]]:
        """Yield complete rows, a few at a time."""
        for part in row_strips((len(rows), self.width), _STRIP):
            strip = np.empty((part.stop - part.start, self.width), np.uint32)
            for line, row in zip(strip, rows[part], strict=True):
                os.preadv(self.descriptor, [line.data], self._place(row, 0))
            yield strip

    def _place(self, row: int, column: int) -> int:
        return 4 * (row % self.height * self.width + column)


def _write(
    photo: Photo,
    picture: Picture,
    joined: Joined,
    strips: Iterator[UInt32[np.ndarray, "rows w"]],
    job: PhotoJob,
) -> Outcome:
    """Write the map, and the overlay if it is wanted, and describe them."""
    categories, style = job.predictor.categories, job.config.overlay
    sketch = _Sketch(picture.size)
    with all_or_none() as written:
        if COCO in job.config.formats:
            path = job.folder / f"{photo.name}{FORMATS[COCO]}"
            write_id_strips(map(sketch.add, strips), picture.size, path)
            written.append(path)
        else:
            for strip in strips:
                sketch.add(strip)
        if style is not None:
            panoptic = PanopticMap.compact(sketch.ids, joined.segments)
            drawn = draw(sketch.photo(picture), panoptic, categories, style)
            written.insert(0, write_overlay(drawn, job.folder, photo.name))
    names = [(short_name(categories[each.label]), each.isthing) for each in joined.segments]
    return Outcome(
        photo=photo,
        entry={
            "stamp": photo.stamp(),
            "name": photo.name,
            "file_name": photo.file_name,
            "height": picture.size[0],
            "width": picture.size[1],
            "files": [path.relative_to(job.folder).as_posix() for path in written],
            "segments_info": coco.segment_entries(
                joined.segments, joined.areas.tolist(), joined.boxes.tolist(), categories
            ),
        },
        things=Counter(name for name, isthing in names if isthing),
        stuff=tuple(name for name, isthing in names if not isthing),
    )


class _Sketch:
    """Picture and map, reduced to a size that people can open."""

    def __init__(self, size: tuple[int, int]) -> None:
        height, width = size
        area, side = height * width / MAX_OVERLAY_PIXELS, max(size) / MAX_JPEG_SIDE
        self._size, self._factor = size, max(1, ceil(sqrt(area)), ceil(side))
        rows, columns = (
            np.minimum(np.arange(0, side, self._factor) + self._factor // 2, side - 1)
            for side in size
        )
        self._rows, self._columns, self._row = rows, columns, 0
        self.ids: Int32[np.ndarray, "h w"] = np.zeros((len(rows), len(columns)), np.int32)

    def add(self, strip: UInt32[np.ndarray, "rows w"]) -> UInt32[np.ndarray, "rows w"]:
        """Take over the middle pixels of the next rows of the map, and return the rows."""
        inside = (self._rows >= self._row) & (self._rows < self._row + len(strip))
        lines = strip[self._rows[inside] - self._row]
        self.ids[inside] = lines[:, self._columns]
        self._row += len(strip)
        return strip

    def photo(self, picture: Picture) -> UInt8[np.ndarray, "h w 3"]:
        """Return the reduced picture: the mean colours of squares, read in windows."""
        factor, (height, width) = self._factor, self._size
        side = -(-_WINDOW // factor)
        reduced = np.empty((*self.ids.shape, 3), np.uint8)
        for top in range(0, reduced.shape[0], side):
            for left in range(0, reduced.shape[1], side):
                window = picture.read(
                    range(factor * top, min(factor * (top + side), height)),
                    range(factor * left, min(factor * (left + side), width)),
                )
                part = np.asarray(Image.fromarray(window).reduce(factor))
                reduced[top : top + len(part), left : left + part.shape[1]] = part
        return reduced
