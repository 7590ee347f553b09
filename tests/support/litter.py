"""Instances files in the shape of a litter data set: few polygons on large photos, some broken."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

CATEGORIES = [
    {"id": number, "name": f"kind {number}", "supercategory": f"group {number // 3}"}
    for number in range(60)
]
"""Classes, the first of which has the id 0."""


@dataclass(frozen=True, kw_only=True)
class Litter:
    """A file, and positions of its broken annotations."""

    annotations: Path
    boxes: tuple[int, ...]
    """Those without an outline."""
    bogus: tuple[int, ...]
    """Those whose outline cannot be read."""
    duplicates: tuple[int, ...]
    """Those with the id of the one before."""
    points: tuple[int, ...]
    """Those with a point beside their outline."""


def write(
    folder: Path,
    *,
    images: int,
    objects: int,
    size: tuple[int, int] = (3264, 2448),
    every: int = 20,
) -> Litter:
    """Write ``litter.json``.

    Args:
        folder: Where to write it.
        images: Number of images.
        objects: Number of annotations, spread evenly over the images.
        size: Height and width of the images.
        every: One in so many annotations has each of the faults.
    """
    generator = np.random.default_rng(0)
    height, width = size
    listed = [
        {"id": i, "file_name": f"batch_{i % 9}/{i}.JPG", "height": height, "width": width}
        for i in range(images)
    ]
    entries = [_entry(i, i * images // objects, size, generator) for i in range(objects)]
    first = [tuple(range(start, objects, every)) for start in (3, 7, 11, 13)]
    broken = Litter(
        annotations=folder / "litter.json",
        boxes=first[0],
        bogus=first[1],
        duplicates=first[2],
        points=first[3],
    )
    for turn, position in enumerate(broken.boxes):
        entries[position]["segmentation"] = ([], None, [[5, 5, 5, 8]])[turn % 3]
    for turn, position in enumerate(broken.bogus):
        bogus = ([[1, 2, 3, 4, 5]], [["1"] * 6], [[float("nan")] * 6], [[9e9] * 6], 7)
        entries[position]["segmentation"] = bogus[turn % 5]
    for position in broken.duplicates:
        entries[position]["id"] = entries[position - 1]["id"]
    for position in broken.points:
        entries[position]["segmentation"].append([15.0, 10.0])
    content = {"images": listed, "annotations": entries, "categories": CATEGORIES}
    broken.annotations.write_text(json.dumps(content))
    return broken


def _entry(
    number: int, image: int, size: tuple[int, int], generator: np.random.Generator
) -> dict[str, Any]:
    """Return a blob, which is far from covering another one."""
    height, width = size
    corners = int(generator.integers(8, 60))
    angles = np.sort(generator.uniform(0, 2 * np.pi, corners))
    radius = np.array([width, height]) / 16 * generator.uniform(0.7, 1.0, (corners, 1))
    center = np.array([number % 7 + 1, number // 7 % 7 + 1]) / 8 * [width, height]
    points = center + radius * np.stack([np.cos(angles), np.sin(angles)], 1)
    x, y = points.min(0)
    w, h = points.max(0) - points.min(0)
    return {
        "id": number,
        "image_id": image,
        "category_id": number % 60,
        "segmentation": [[round(float(value), 1) for value in points.ravel()]],
        "area": float(w * h / 2),
        "bbox": [float(x), float(y), float(w), float(h)],
        "iscrowd": 0,
    }
