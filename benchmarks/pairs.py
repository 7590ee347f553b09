"""Pairs of COCO panoptic files for benchmarks, drawn to be as large and as complex as COCO's own.

A picture has about 12 true and 12 predicted segments: wavy stuff with rough borders, wobbly things
of many sizes on it, unlabelled strips and, in one picture of seven, a crowd region. Predictions are
displaced, and some are missing, false or of a wrong class. A PNG of 640x480 takes 12 to 14 kB.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from harness import CATEGORIES
from PIL import Image

from jsisnet.files.png import MAX_ID, ids_to_rgb
from jsisnet.formats import categories_json as category_entries
from jsisnet.panoptic import PanopticMap, Segment

TRUTH, PREDICTION = "truth", "prediction"
"""Names of the files and of the folders of their PNGs."""

KEPT = 25
"""Most predictions that are kept in memory."""

REGIONS, THINGS = 4, 8.5
"""Mean numbers of stuff regions and of things."""

OCTAVES = ((1, 1 / 3), (0.2, 1 / 16), (0.03, 1 / 120))
"""Height of waves, and their length as a fraction of the picture's height."""

MISSED, RENAMED, INVENTED, CROWDED, SWAPPED = 0.15, 0.1, 0.15, 0.15, 0.15
"""Probabilities of a missed thing, of a wrong class, of false things, crowds and wrong stuff."""

STRIP, LABELLED, DROPPED = 0.04, 0.4, 0.08
"""Width and rarity of unlabelled strips, and probability of stuff that is not predicted."""


@dataclass(frozen=True)
class Pairs:
    """Ground truth and predictions on disk, and the first predictions in memory."""

    truth: Path
    prediction: Path
    maps: tuple[PanopticMap, ...]
    count: int
    """Number of pairs that the files list."""


@dataclass(frozen=True)
class _Blob:
    """A wobbly ellipse."""

    center: tuple[float, float]
    radii: tuple[float, float]
    angle: float

    @classmethod
    def drawn(cls, random: np.random.Generator, size: tuple[int, int]) -> "_Blob":
        height, width = size
        radius = float(np.clip(0.07 * height * np.exp(random.normal(0, 0.75)), 5, 0.4 * height))
        stretch = float(np.exp(random.normal(0, 0.35)))
        center = random.uniform(0.1 * height, height), random.uniform(0, width)
        return cls(center, (radius / stretch, radius * stretch), random.uniform(0, np.pi))

    def displaced(self, random: np.random.Generator) -> "_Blob":
        radius = sum(self.radii) / 2
        y, x = (each + random.normal(0, 0.08) * radius for each in self.center)
        down, across = (each * np.exp(random.normal(0, 0.13)) for each in self.radii)
        return _Blob((y, x), (down, across), self.angle + random.normal(0, 0.08))

    def paint(self, random: np.random.Generator, ids: np.ndarray, value: int) -> None:
        reach = 1.35 * max(self.radii) + 2
        (top, bottom), (left, right) = (
            (max(0, int(middle - reach)), min(length, int(middle + reach) + 1))
            for middle, length in zip(self.center, ids.shape, strict=True)
        )
        size = bottom - top, right - left
        if min(size) <= 0:
            return
        y, x = np.ogrid[top:bottom, left:right]
        y, x = y - self.center[0], x - self.center[1]
        along = (x * np.cos(self.angle) + y * np.sin(self.angle)) / self.radii[1]
        across = (y * np.cos(self.angle) - x * np.sin(self.angle)) / self.radii[0]
        wobble = 0.22 * _waves(random, size, reach / 2.5) + 0.07 * _waves(random, size, reach / 10)
        ids[top:bottom, left:right][along**2 + across**2 < 1 + wobble] = value


def _waves(random: np.random.Generator, size: tuple[int, int], length: float) -> np.ndarray:
    """Return smooth noise with features of about `length` pixels."""
    rows, columns = (int(each / max(3, length)) + 3 for each in size)
    coarse = random.standard_normal((rows, columns)).astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC))


def _terrain(random: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    return sum(part * _waves(random, size, scale * size[0]) for part, scale in OCTAVES)


def _stuff(
    random: np.random.Generator, size: tuple[int, int], regions: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the true and the predicted region of each pixel, from 1 on."""
    best = [np.full(size, -np.inf, np.float32) for _ in range(2)]
    ids = [np.zeros(size, np.int32) for _ in range(2)]
    for number in range(1, regions + 1):
        true = _terrain(random, size)
        for k, score in enumerate((true, true + 0.2 * _terrain(random, size))):
            higher = score > best[k]
            best[k][higher] = score[higher]
            ids[k][higher] = number
    return ids[0], ids[1]


class _Picture:
    """A true and a predicted map that are being drawn."""

    def __init__(self, random: np.random.Generator, size: tuple[int, int]):
        self.random, self.size = random, size
        self.regions = regions = int(np.clip(random.poisson(REGIONS), 2, 12))
        labels = random.choice(CATEGORIES.stuff_labels, 2 * regions, replace=False).tolist()
        swapped = random.random(regions) < SWAPPED
        self.true, self.predicted = _stuff(random, size, regions)
        self.true_segments = [Segment(label=each, isthing=False) for each in labels[:regions]]
        self.segments = [
            Segment(label=labels[i + regions * int(swap)], isthing=False)
            for i, swap in enumerate(swapped)
        ]

    def add(self, blob: _Blob, label: int, *, crowd: bool = False) -> None:
        """Paint a true thing."""
        self.true_segments.append(Segment(label=label, isthing=True, iscrowd=crowd))
        blob.paint(self.random, self.true, len(self.true_segments))

    def predict(self, blob: _Blob, label: int) -> None:
        """Paint a predicted thing."""
        self.segments.append(Segment(label=label, isthing=True))
        blob.paint(self.random, self.predicted, len(self.segments))

    def add_things(self) -> None:
        random = self.random
        usual = random.choice(CATEGORIES.thing_labels, 4).tolist()
        number = int(random.negative_binomial(3, 3 / (3 + THINGS)))
        if random.random() < CROWDED:
            blob = _Blob.drawn(random, self.size)
            self.add(blob, usual[0], crowd=True)
            for _ in range(int(random.integers(3, 8))):
                self.predict(_part_of(random, blob), usual[0])
        for _ in range(number):
            blob, label, luck = (
                _Blob.drawn(random, self.size),
                random.choice(usual),
                random.random(),
            )
            self.add(blob, int(label))
            if luck < MISSED + RENAMED:
                label = random.choice(CATEGORIES.thing_labels)
            if luck >= MISSED:
                self.predict(blob.displaced(random), int(label))
        for _ in range(int(random.poisson(INVENTED * number))):
            self.predict(_Blob.drawn(random, self.size), int(random.choice(usual)))

    def add_void(self) -> None:
        """Leave out strips and a hole of the truth, and small or random stuff of the prediction."""
        height, width = self.size
        edges = np.abs(_waves(self.random, self.size, height / 6)) < STRIP
        self.true[edges & (_waves(self.random, self.size, height / 4) > LABELLED)] = 0
        if self.random.random() < 1 / 2:
            _Blob.drawn(self.random, self.size).paint(self.random, self.true, 0)
        areas = np.bincount(self.predicted.ravel(), minlength=len(self.segments) + 1)
        kept = (areas >= height * width // 75) & (self.random.random(len(areas)) > DROPPED)
        kept[self.regions + 1 :] = True
        self.predicted[~kept[self.predicted]] = 0


def _part_of(random: np.random.Generator, blob: _Blob) -> _Blob:
    y, x = (
        middle + random.normal(0, 0.5) * radius
        for middle, radius in zip(blob.center, blob.radii, strict=True)
    )
    return _Blob((y, x), (0.4 * blob.radii[0], 0.3 * blob.radii[1]), 0)


def drawn_pair(number: int, size: tuple[int, int]) -> tuple[PanopticMap, PanopticMap]:
    """Draw the true and the predicted map of a picture."""
    picture = _Picture(np.random.default_rng([7, number]), size)
    picture.add_things()
    picture.add_void()
    return (
        PanopticMap.compact(picture.true, picture.true_segments),
        PanopticMap.compact(picture.predicted, picture.segments),
    )


def write_pairs(folder: Path, number: int, size: tuple[int, int]) -> Pairs:
    """Write pairs of a height and width as COCO panoptic files."""
    random = np.random.default_rng(0)
    maps: list[PanopticMap] = []
    entries: dict[str, list[dict[str, object]]] = {TRUTH: [], PREDICTION: []}
    for index in range(number):
        truth, prediction = drawn_pair(index, size)
        maps += [prediction][: KEPT - len(maps)]
        entries[TRUTH].append(_written(folder / TRUTH, truth, index, random))
        entries[PREDICTION].append(_written(folder / PREDICTION, prediction, index, random))
    return listed(folder, entries, tuple(maps))


def listed(
    folder: Path,
    entries: dict[str, list[dict[str, object]]],
    maps: tuple[PanopticMap, ...],
    count: int | None = None,
) -> Pairs:
    """List the pairs in JSON files, again and again until there are `count`."""
    number = len(entries[TRUTH])
    count = number if count is None else count
    for name, annotations in entries.items():
        repeated = [annotations[i % number] | {"image_id": i} for i in range(count)]
        content = {
            "images": [{"id": i, "file_name": f"{i:012d}.jpg"} for i in range(count)],
            "annotations": repeated,
            "categories": category_entries.entries(CATEGORIES),
        }
        (folder / f"{name}.json").write_text(json.dumps(content))
    return Pairs(folder / f"{TRUTH}.json", folder / f"{PREDICTION}.json", maps, count)


def repeated(pairs: Pairs, folder: Path, count: int) -> Pairs:
    """List the same PNGs `count` times, each time with another image id."""
    folder.mkdir()
    entries = {}
    for name, file in ((TRUTH, pairs.truth), (PREDICTION, pairs.prediction)):
        (folder / name).symlink_to(file.with_suffix(""))
        entries[name] = json.loads(file.read_text())["annotations"]
    return listed(folder, entries, pairs.maps, count)


def _written(
    folder: Path, panoptic: PanopticMap, index: int, random: np.random.Generator
) -> dict[str, object]:
    """Write a map with random segment ids, as other programs do."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = np.append(0, random.choice(MAX_ID, len(panoptic.segments), replace=False) + 1)
    ids_to_rgb(ids.astype(np.uint32)[panoptic.ids]).save(folder / f"{index:012d}.png")
    infos = [
        {"id": number, "category_id": CATEGORIES[segment.label].id}
        for number, segment in zip(ids[1:].tolist(), panoptic.segments, strict=True)
    ]
    if folder.name == TRUTH:
        areas = panoptic.areas().tolist()
        for position, segment in enumerate(panoptic.segments):
            box = _box(panoptic.ids == position + 1)
            infos[position] |= {
                "iscrowd": int(segment.iscrowd),
                "area": areas[position],
                "bbox": box,
            }
    return {"image_id": index, "file_name": f"{index:012d}.png", "segments_info": infos}


def _box(mask: np.ndarray) -> list[int]:
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    left, top = int(columns[0]), int(rows[0])
    return [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1]
