"""Small data sets, maps and results for the tests."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jsisnet.categories import Categories, Category
from jsisnet.evaluation.panoptic_quality import ImageQuality, PanopticQuality, summary
from jsisnet.formats import coco
from jsisnet.panoptic import PanopticMap, Segment

PERSON, CAR, BUS, SKY, ROAD, TREE = range(6)
"""Labels of `CATEGORIES`."""

CATEGORIES = Categories(
    (
        Category(id=1, name="person", isthing=True, color=(220, 20, 60), supercategory="person"),
        Category(id=3, name="car", isthing=True, color=(0, 0, 142), supercategory="vehicle"),
        Category(id=6, name="bus", isthing=True, color=(0, 60, 100), supercategory="vehicle"),
        Category(id=92, name="sky", isthing=False, color=(70, 130, 180), supercategory="outdoor"),
        Category(id=100, name="road", isthing=False, color=(128, 64, 128), supercategory="ground"),
        Category(id=150, name="tree", isthing=False, color=(107, 142, 35), supercategory="outdoor"),
    )
)
"""Three things and three stuff classes; merging by supercategory leaves two of each."""

SUFFIXES = (".jpg", ".png", ".jpeg")
"""File suffixes of the photos, in rotation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TinyDataset:
    """Paths of the files that `tiny_dataset` writes."""

    images: Path
    annotations: Path
    pngs: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class TinyInstances:
    """Paths of the files that `tiny_instances` writes."""

    images: Path
    annotations: Path


def segment(label: int, **more: object) -> Segment:
    """Return a segment of one of `CATEGORIES`."""
    return Segment(label=label, isthing=CATEGORIES[label].isthing, **more)


def panoptic_map(ids: list[list[int]], *segments: Segment) -> PanopticMap:
    """Return a map from nested lists of ids."""
    return PanopticMap(np.array(ids, np.int32), segments)


def tiny_map(index: int, size: tuple[int, int] = (64, 96)) -> PanopticMap:
    """Draw street number `index`: sky, road and objects.

    Every street has a car and a person; odd ones have a tree, every third a bus. Number 2 has a
    crowd of persons, number 4 void along its left side.
    """
    height, width = size
    rows, columns = np.mgrid[:height, :width] / np.array([height, width])[:, None, None]
    left = 0.05 + 0.08 * (index % 6)
    shapes = [(SKY, rows < 0.5), (ROAD, rows >= 0.5)]
    if index % 2:
        shapes.append((TREE, (abs(columns - left - 0.3) < 0.15) & (rows < 0.6) & (rows > 0.1)))
    if index % 3 == 0:
        shapes.append((BUS, (abs(columns - left - 0.42) < 0.16) & (abs(rows - 0.5) < 0.2)))
    shapes.append((CAR, (abs(columns - left - 0.12) < 0.12) & (abs(rows - 0.65) < 0.12)))
    person = ((columns - 0.85 + left / 2) / 0.06) ** 2 + ((rows - 0.6) / 0.3) ** 2 < 1
    shapes.append((PERSON, person))
    segments = [segment(label) for label, _ in shapes]
    ids = np.zeros(size, np.int32)
    for number, (_, mask) in enumerate(shapes, 1):
        ids[mask] = number
    if index == 2:
        segments.append(segment(PERSON, iscrowd=True))
        ids[(rows > 0.35) & (rows < 0.5) & (columns > 0.8)] = len(segments)
    if index == 4:
        ids[:, : width // 16] = 0
    return PanopticMap.compact(ids, segments)


def odd_maps() -> dict[str, PanopticMap]:
    """Return predicted maps that conversions find hard, by what is special about them."""
    holes = np.zeros((9, 11), np.int32)
    holes[1:8, 1:7] = 1
    holes[3:5, 3:5] = 2
    holes[2, 5] = 0
    holes[:, 9:] = 1
    holes[8, 0] = 3
    things = [segment(CAR, score=0.75), segment(SKY), segment(PERSON, score=0.5)]
    many = np.random.default_rng(0).integers(0, 301, (48, 64)).astype(np.int32)
    labels = [segment(i % 6, **({"score": i / 300} if i % 6 < SKY else {})) for i in range(300)]
    return {
        "holes, parts and one pixel": PanopticMap(holes, tuple(things)),
        "one pixel": PanopticMap(np.ones((1, 1), np.int32), (segment(BUS, score=1.0),)),
        "one column": PanopticMap(np.array([[1], [0], [1]], np.int32), (segment(CAR, score=0.1),)),
        "void": PanopticMap(np.zeros((4, 6), np.int32), ()),
        "stuff alone": PanopticMap(np.ones((4, 6), np.int32), (segment(ROAD),)),
        "a segment without pixels": PanopticMap(np.full((4, 6), 2, np.int32), tuple(things[:2])),
        "300 segments": PanopticMap(many, tuple(labels)),
        "a long run": PanopticMap(np.ones((300, 401), np.int32), (segment(SKY),)),
    }


def photo_of(panoptic: PanopticMap, seed: int = 0) -> Image.Image:
    """Paint each class in its colour, with noise."""
    colors = np.array([(0, 0, 0), *(CATEGORIES[s.label].color for s in panoptic.segments)])
    noise = np.random.default_rng(seed).normal(0, 12, (*panoptic.size, 3))
    return Image.fromarray(np.clip(colors[panoptic.ids] + noise, 0, 255).astype(np.uint8))


def tiny_dataset(folder: Path, *, count: int = 6, size: tuple[int, int] = (64, 96)) -> TinyDataset:
    """Write the first streets as a data set in COCO panoptic format."""
    dataset = TinyDataset(
        images=folder / "photos",
        annotations=folder / "panoptic_tiny.json",
        pngs=folder / "panoptic_tiny",
    )
    dataset.images.mkdir(parents=True)
    dataset.pngs.mkdir()
    images, annotations = [], []
    for index in range(count):
        panoptic = tiny_map(index, size)
        name = f"street{index}{SUFFIXES[index % len(SUFFIXES)]}"
        photo_of(panoptic, seed=index).save(dataset.images / name)
        height, width = size
        images.append({"id": 100 + index, "file_name": name, "height": height, "width": width})
        annotations.append(_annotation(panoptic, 100 + index, dataset.pngs / f"map{index}.png"))
    content = {"images": images, "annotations": annotations, "categories": category_entries()}
    dataset.annotations.write_text(json.dumps(content))
    return dataset


def tiny_instances(
    folder: Path, *, count: int = 4, size: tuple[int, int] = (64, 96)
) -> TinyInstances:
    """Write the things of the first streets, with other photos, in COCO instances format.

    Rectangles are polygons, everything else has run lengths.
    """
    dataset = TinyInstances(images=folder / "other", annotations=folder / "instances_tiny.json")
    dataset.images.mkdir(parents=True)
    images, annotations = [], []
    for index in range(count):
        panoptic = tiny_map(index, size)
        name = f"other{index}.png"
        photo_of(panoptic, seed=100 + index).save(dataset.images / name)
        height, width = size
        images.append({"id": 100 + index, "file_name": name, "height": height, "width": width})
        for number, info in enumerate(panoptic.segments, 1):
            if info.isthing:
                entry = {
                    "id": 10 * index + number,
                    "image_id": 100 + index,
                    "category_id": CATEGORIES[info.label].id,
                    "segmentation": _outlined(panoptic.ids == number),
                    "iscrowd": int(info.iscrowd),
                }
                annotations.append(entry)
    content = {"images": images, "annotations": annotations, "categories": thing_entries()}
    dataset.annotations.write_text(json.dumps(content))
    return dataset


def tiny_vistas(
    folder: Path, *, count: int = 6, split: str = "training", panoptic: bool = False
) -> Path:
    """Write the first streets as a split of an unpacked Mapillary Vistas 2.0.

    Trees and "void" are not evaluated, and a crowd becomes one thing. Photo and map share a name.

    Args:
        folder: Where to write.
        count: Number of streets.
        split: Name of the split.
        panoptic: Whether to write the panoptic file too, beside the 16-bit PNGs.

    Returns:
        The folder of the annotations.
    """
    labels = [
        {
            "name": f"{c.supercategory}--{c.name}",
            "readable": c.name,
            "color": c.color,
            "instances": c.isthing,
            "evaluate": c.name != "tree",
        }
        for c in CATEGORIES
    ]
    void = {"name": "void", "readable": "void", "instances": False, "evaluate": False}
    images, part = folder / split / "images", folder / split / "v2.0"
    images.mkdir(parents=True)
    (part / "instances").mkdir(parents=True)
    (folder / "config_v2.0.json").write_text(json.dumps({"labels": [*labels, void]}))
    for index in range(count):
        drawn = tiny_map(index)
        photo_of(drawn, seed=index).save(images / f"street{index}.jpg")
        values = [256 * len(labels), *(256 * s.label + i for i, s in enumerate(drawn.segments))]
        pixels = np.array(values, np.uint16)[drawn.ids]
        Image.fromarray(pixels).save(part / f"instances/street{index}.png")
    if panoptic:
        classes = Categories(tuple(replace(c, id=i) for i, c in enumerate(CATEGORIES, 1)))
        path = part / "panoptic/panoptic_2020.json"
        with coco.writing(path, classes, pngs=path.parent) as writer:
            for index in range(count):
                name = f"street{index}"
                writer.add(tiny_map(index), image_id=name, image_name=f"{name}.jpg")
    return part


def thing_entries() -> list[dict[str, object]]:
    """Return the things of `CATEGORIES` as entries of COCO's instances files."""
    return [
        {name: entry[name] for name in ("id", "name", "supercategory")}
        for entry in category_entries()
        if entry["isthing"]
    ]


def run_lengths(mask: np.ndarray) -> dict[str, object]:
    """Return the uncompressed run lengths of a mask, column by column, background first."""
    pixels = np.concatenate([[False], mask.ravel(order="F"), [False]])
    edges = np.flatnonzero(pixels[1:] != pixels[:-1])
    bounds = [0, *edges.tolist(), *([] if len(edges) and edges[-1] == mask.size else [mask.size])]
    return {"size": list(mask.shape), "counts": np.diff(bounds).tolist()}


def _outlined(mask: np.ndarray) -> object:
    x, y, width, height = _bbox(mask)
    if mask.sum() < width * height:
        return run_lengths(mask)
    return [[x, y, x + width, y, x + width, y + height, x, y + height]]


def category_entries() -> list[dict[str, object]]:
    """Return `CATEGORIES` as entries of COCO's panoptic files."""
    return [
        {
            "id": category.id,
            "name": category.name,
            "isthing": int(category.isthing),
            "color": list(category.color),
            "supercategory": category.supercategory,
        }
        for category in CATEGORIES
    ]


def _annotation(panoptic: PanopticMap, image_id: int, png: Path) -> dict[str, object]:
    """Write a map with sparse ids that use all three bytes, and return its JSON entry."""
    numbers = [0, *(1 + 70_001 * number for number in range(1, len(panoptic.segments) + 1))]
    ids = np.array(numbers)[panoptic.ids]
    colors = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1)
    Image.fromarray(colors.astype(np.uint8)).save(png)
    return {
        "image_id": image_id,
        "file_name": png.name,
        "segments_info": [
            {
                "id": numbers[number],
                "category_id": CATEGORIES[info.label].id,
                "iscrowd": int(info.iscrowd),
                "area": int((panoptic.ids == number).sum()),
                "bbox": _bbox(panoptic.ids == number),
            }
            for number, info in enumerate(panoptic.segments, 1)
        ],
    }


def _bbox(mask: np.ndarray) -> list[int]:
    rows, columns = np.nonzero(mask)
    x, y = columns.min(), rows.min()
    return [int(x), int(y), int(columns.max() - x + 1), int(rows.max() - y + 1)]


def quality(**classes: tuple[float, int, int, int]) -> PanopticQuality:
    """Return the sums of an image: IoU, tp, fp and fn by class name."""
    rows = [classes.get(category.name, (0.0, 0, 0, 0)) for category in CATEGORIES]
    iou, *counts = zip(*rows, strict=True)
    return PanopticQuality(np.array(iou, np.float64), *(np.array(c, np.int64) for c in counts))


def result(
    images: Mapping[int | str, PanopticQuality], mode: str = "official", **more: object
) -> dict[str, Any]:
    """Return the JSON of `jsisnet score` for these images."""
    total = reduce(add, images.values(), PanopticQuality.zero(len(CATEGORIES)))
    described = [
        ImageQuality.of(image, sums).described(CATEGORIES) for image, sums in images.items()
    ]
    return summary(total, CATEGORIES) | {"mode": mode, "images": described} | more


def write_result(path: Path, *args: Any, **options: Any) -> Path:
    """Write the return value of `result` to a file."""
    path.write_text(json.dumps(result(*args, **options)))
    return path
