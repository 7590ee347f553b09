"""Results of `jsisnet score` and `jsisnet evaluate`, read from their JSON files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jsisnet.arrays import Float64
from jsisnet.files import json_fields
from jsisnet.files.json_fields import Entry

COUNTS = ("tp", "fp", "fn")
"""Keys of the numbers of segments, in the order of the sums after the IoU."""

FIGURES = ("miou", "mask_ap", "mask_ap50", "box_ap", "box_ap50")
"""Optional figures of a result, in percent."""

_MAX_SEGMENTS = 10**9
"""Highest number of segments of an image."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Result:
    """A result with the sums of each image."""

    path: Path
    """The JSON file."""

    mode: str
    """Rules of matching; see `Mode`."""

    classes: Mapping[str, bool]
    """Whether each class, by its name and in order, is a thing."""

    image_ids: tuple[int | str, ...]
    """Ids of the images: integers, then strings, both ascending."""

    sums: Float64[np.ndarray, "n 4 k"]
    """For each image and class the summed IoU of the matches, and `COUNTS`."""

    figures: Mapping[str, float]
    """Those of `FIGURES` that have a value, and ``boundary_pq``."""

    def __repr__(self) -> str:
        sizes = f"{len(self.image_ids)} images, {len(self.classes)} classes"
        return f"Result({str(self.path)!r}, {sizes})"


def read_result(path: Path) -> Result:
    """Read the result in a JSON file.

    Raises:
        ValueError: If the file is missing or invalid; the message names the entry.
    """
    content = json_fields.load(path)
    try:
        mode = json_fields.string(content, "mode")
        listed = json_fields.each(content, "classes", _class)
        classes = dict(listed)
        if not classes:
            raise ValueError("classes: the list is empty; expected at least one class")
        if len(classes) < len(listed):
            raise ValueError("classes: duplicate name")
        labels = {name: label for label, name in enumerate(classes)}
        images = dict(json_fields.each(content, "images", lambda values: _image(values, labels)))
        ids = sorted(images, key=lambda image_id: (isinstance(image_id, str), image_id))
        if len(ids) < len(json_fields.items(content, "images")):
            raise ValueError("images: duplicate 'image_id'")
        sums = np.array([images[image_id] for image_id in ids]).reshape(-1, 4, len(classes))
        _check_totals(json_fields.items(content, "classes"), sums)
        return Result(
            path=path,
            mode=mode,
            classes=classes,
            image_ids=tuple(ids),
            sums=sums,
            figures=_figures(content),
        )
    except ValueError as error:
        raise ValueError(f"{path}: not a result with numbers of each image: {error}") from None


def _class(values: Entry) -> tuple[str, bool]:
    return json_fields.string(values, "name"), json_fields.flag(values, "isthing")


def _image(
    values: Entry, labels: Mapping[str, int]
) -> tuple[int | str, Float64[np.ndarray, "4 k"]]:
    image_id = json_fields.identity(values, "image_id")
    sums = np.zeros((1 + len(COUNTS), len(labels)))
    try:
        for label, *numbers in json_fields.each(values, "classes", lambda row: _sums(row, labels)):
            if sums[:, label].any():
                raise ValueError("duplicate class")
            sums[:, label] = numbers
    except ValueError as error:
        raise ValueError(f"image {image_id!r}: {error}") from None
    return image_id, sums


def _sums(values: Entry, labels: Mapping[str, int]) -> tuple[int, float, int, int, int]:
    name = json_fields.string(values, "name")
    if name not in labels:
        raise ValueError(f"the class {name!r} is unknown")
    iou = json_fields.number(values, "iou")
    tp, fp, fn = (json_fields.integer(values, key, highest=_MAX_SEGMENTS) for key in COUNTS)
    if not 0 <= iou <= tp:
        raise ValueError(f"'iou' is {iou}; expected 0 to 'tp', {tp}")
    return labels[name], iou, tp, fp, fn


def _check_totals(entries: Sequence[object], sums: Float64[np.ndarray, "n 4 k"]) -> None:
    """Check that the numbers of segments of each class add up over the images."""
    totals = sums[:, 1:].sum(axis=0).T.astype(np.int64).tolist()
    for position, (value, counted) in enumerate(zip(entries, totals, strict=True)):
        for key, expected in zip(COUNTS, counted, strict=True):
            found = json_fields.integer(json_fields.entry(value), key)
            if found != expected:
                raise ValueError(
                    f"classes[{position}]: {key!r} is {found}, but the images add up to {expected}"
                )


def _figures(content: Entry) -> dict[str, float]:
    found = {
        key: json_fields.number(content, key) for key in FIGURES if json_fields.has(content, key)
    }
    if json_fields.has(content, "boundary"):
        whole = json_fields.entry(json_fields.entry(content["boundary"]).get("all"))
        if json_fields.has(whole, "pq"):
            found["boundary_pq"] = json_fields.number(whole, "pq")
    return found
