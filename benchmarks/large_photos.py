"""Pictures in tiles: the memory that a huge one takes, and the map against that of the whole.

The memory is the sum of what all processes of the command hold, pages that they share counted for
each. Networks resize a photo to their input, so that its map at once is coarser than in tiles; the
maps are compared of an engine that segments by colour, on a generated scene in flat colours.

The seams are measured of the network on generated scenes: pairs of neighbouring pixels whose
classes differ although no tile sees a border between them. Straight cuts are measured as well.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import product
from pathlib import Path

import numpy as np
import tifffile
from harness import Promise, finish, options
from PIL import Image

from jsisnet.categories import Categories, Category
from jsisnet.datatools.scenes.scene import Scene
from jsisnet.evaluation.panoptic_quality import PanopticQuality, count_matches
from jsisnet.formats import coco
from jsisnet.inference import BatchConfig, PredictionConfig, Predictor, TileConfig, predict_photos
from jsisnet.inference.cuts import Cuts
from jsisnet.inference.photo_files import name_photos
from jsisnet.inference.seams import TileMap, join
from jsisnet.panoptic import PanopticMap, Segment

MEMORY, QUALITY, SEAMS = 1.5, 95.0, 0.5
"""Most gigabytes (2**30 bytes) of a picture of 400 megapixels, least PQ of both maps, and most
borders at seams relative to those of straight cuts."""

SIDE, QUICK_SIDE = 20_000, 5_000
"""Sides of the picture in pixels."""

TILE = 1_000
"""Side of the scenes that the picture is made of."""

CATEGORIES = Categories(
    tuple(Category(id=i + 1, name=f"class {i}", isthing=i % 2 == 1) for i in range(256))
)


class Colors:
    """An engine for which each colour is a segment: red is its class, green and blue its number."""

    name, device, batch_size = "colors", "cpu", 1
    predicts = frozenset(["panoptic"])
    categories, config = CATEGORIES, PredictionConfig(size=None)

    def __call__(self, images: np.ndarray, extras: object = None) -> list[PanopticMap]:  # noqa: ARG002 - it has nothing else to say
        """Return the maps of images."""
        return [self.map(image) for image in images]

    def fingerprint(self) -> str:
        """Return a constant: there are no weights."""
        return "colors"

    def map(self, image: np.ndarray) -> PanopticMap:
        """Return the map of an image of colours, of which black is void."""
        codes = image.astype(np.int64) @ np.array([2**16, 2**8, 1])
        found, ids = np.unique(codes, return_inverse=True)
        labels = found[found > 0] >> 16
        segments = [
            Segment(label=label, isthing=label % 2 == 1, score=0.9 if label % 2 else None)
            for label in labels.tolist()
        ]
        numbers = (np.cumsum(found > 0) * (found > 0)).astype(np.int32)
        return PanopticMap(numbers[ids].reshape(codes.shape), tuple(segments))


def main() -> None:
    """Measure the memory of the command, and compare the maps."""
    chosen = options(__doc__)
    side = QUICK_SIDE if chosen.quick else SIDE
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        seconds, most = memory(folder, side)
        quality, segments = compared(folder, (1500, 2000) if chosen.quick else (3000, 4000))
    straight, cut = np.sum([seams(number) for number in range(3 if chosen.quick else 12)], axis=0)
    megapixels = side**2 / 1e6
    print(f"{megapixels:,.0f} megapixels: {seconds:,.0f} s, at most {most:.2f} GB")
    print(f"scenes in flat colours: {segments} segments, PQ {quality:.2f}")
    print(f"borders at seams: {cut:,} pixels, {straight:,} of straight cuts")
    promises = [
        Promise(f"GB of memory for {megapixels:,.0f} megapixels in tiles", most, MEMORY, True),
        Promise("PQ of the map in tiles against that of the whole", quality, QUALITY, False),
        Promise("borders at seams relative to straight cuts", cut / straight, SEAMS, True),
    ]
    figures = {"seconds": seconds, "gigabytes": most, "pq": quality, "segments": segments}
    figures |= {"seams": int(cut), "straight_seams": int(straight)}
    finish(promises, figures, chosen.json)


def memory(folder: Path, side: int) -> tuple[float, float]:
    """Segment a picture by the command; return its seconds and the most memory it holds."""
    path = folder / "large.tif"
    tifffile.imwrite(
        path,
        parts(side),
        shape=(side, side, 3),
        dtype=np.uint8,
        photometric="rgb",
        tile=(400, 400),
        compression="zlib",
    )
    command = [sys.executable, "-m", "jsisnet", "predict", str(path), "--model", "street"]
    command += ["-o", str(folder / "out"), "--tiles", "--tile-size", "1024", "--quiet"]
    began, most = time.perf_counter(), 0
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            most = max(most, sum(map(resident, tree(process.pid))))
            time.sleep(0.1)
    if process.returncode:
        sys.exit(f"the command ended with {process.returncode}")
    return time.perf_counter() - began, most / 2**30


def parts(side: int) -> Iterator[np.ndarray]:
    """Yield the tiles of a picture of scenes, row by row."""
    scenes = [Scene((number,), (TILE, TILE)).photo() for number in range(4)]
    for top in range(0, side, 400):
        for left in range(0, side, 400):
            chosen = scenes[(top // 4000 + left // 4000) % len(scenes)]
            y, x = top % 4000 // 5, left % 4000 // 5
            part = chosen[y : y + 80, x : x + 80]
            yield np.asarray(Image.fromarray(part).resize((400, 400)))


def tree(process: int) -> Iterator[int]:
    """Yield a process and all its descendants."""
    yield process
    with suppress(OSError):
        for task in Path(f"/proc/{process}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from tree(int(child))


def resident(process: int) -> int:
    """Return the bytes of memory that a process holds."""
    with suppress(OSError):
        fields = Path(f"/proc/{process}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def compared(folder: Path, size: tuple[int, int]) -> tuple[float, int]:
    """Segment scenes in flat colours whole and in tiles; return the PQ and the segments."""
    predictor = Predictor(Colors())
    paths, wholes = [], []
    for number in range(4):
        image = in_flat_colors(Scene((number,), size).panoptic())
        paths.append(folder / f"scene {number}.png")
        Image.fromarray(image).save(paths[-1])
        wholes.append(predictor.panoptic(image))
    out = folder / "scenes"
    config = BatchConfig(tiles=TileConfig(size=(384, 384)))
    predict_photos(name_photos(paths), predictor, out, config)
    file = coco.read_annotations(out / "predictions.json", pngs=out, predicted=True)
    total = PanopticQuality.zero(len(CATEGORIES))
    for whole, annotation in zip(wholes, file.annotations, strict=True):
        total += count_matches(whole, coco.read_png(annotation, CATEGORIES), len(CATEGORIES))
    return 100 * total.mean().pq, sum(len(whole.segments) for whole in wholes)


def seams(number: int) -> tuple[int, int]:
    """Segment a scene in tiles by the network; return the borders at straight cuts, and at ours."""
    predictor = Predictor("street")
    photo = Scene((number,), (1350, 1800)).photo()
    grid = TileConfig(size=(704, 960)).grid((1350, 1800), None)
    segments: list[Segment] = []
    tiles = {}
    for (i, row), (j, column) in product(enumerate(grid.rows), enumerate(grid.columns)):
        found = predictor.panoptic(photo[np.ix_(row.whole, column.whole)])
        numbers = np.where(found.ids, found.ids + len(segments), 0).astype(np.uint32)
        tiles[i, j] = TileMap(row, column, numbers)
        segments += found.segments
    labels = np.array([-1, *(each.label for each in segments)])
    ours = join(grid, lambda i, j: tiles[i, j], segments, 0.5).cuts
    return unseen(Cuts.straight(grid), tiles, labels), unseen(ours, tiles, labels)


def unseen(cuts: Cuts, tiles: Mapping[tuple[int, int], TileMap], labels: np.ndarray) -> int:
    """Count the borders between classes that no tile sees."""
    whole = np.zeros(cuts.grid.size, int)
    seen = [np.zeros_like(whole, bool) for _ in range(2)]
    for place, tile in tiles.items():
        window = np.ix_(tile.rows.whole, tile.columns.whole)
        found = labels[tile.numbers]
        whole[window] = np.where(cuts.owned(*place), found, whole[window])
        for axis, each in enumerate(seen):
            each[window] |= np.diff(found, axis=axis, prepend=found.take([0], axis)) != 0
    found = (np.diff(whole, axis=axis, prepend=whole.take([0], axis)) != 0 for axis in range(2))
    return sum(int((border & ~known).sum()) for border, known in zip(found, seen, strict=True))


def in_flat_colors(panoptic: PanopticMap) -> np.ndarray:
    """Return a picture in which each segment has a colour of its own."""
    image = np.zeros((*panoptic.size, 3), np.uint8)
    for number, segment in enumerate(panoptic.segments, 1):
        color = 2 * (segment.label + 1) + segment.isthing, number % 256, number // 256
        image[panoptic.ids == number] = color
    return image


if __name__ == "__main__":
    main()
