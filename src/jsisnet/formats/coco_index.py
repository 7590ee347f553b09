"""What COCO panoptic files list about the map of one image, as columns, for measuring."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from jsisnet.arrays import Bool, Float64, Int64
from jsisnet.categories import UNKNOWN, Categories
from jsisnet.files import json_fields
from jsisnet.files.json_fields import Entry
from jsisnet.files.png import MAX_ID
from jsisnet.panoptic import VOID

UNSTATED = -1
"""Area that a file does not state."""


_MOST_PIXELS = 2**62

_Value = TypeVar("_Value")

Oddity = Callable[[str], None]
"""Is told what is wrong with an entry, though the official script gives a number; may raise."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ListedMap:
    """What a file says about the N segments of one image, in its order."""

    png: Path
    """The map; it may not exist."""

    ids: Int64[np.ndarray, " n"]
    """Panoptic ids, each once."""

    labels: Int64[np.ndarray, " n"]
    """Labels, `UNKNOWN` for categories that the data set lacks."""

    iscrowd: Bool[np.ndarray, " n"]
    """Which regions hold a group of things; never true for predictions."""

    areas: Int64[np.ndarray, " n"]
    """Pixels that the file claims, or `UNSTATED`; always that for predictions."""

    scores: Float64[np.ndarray, " n"]
    """Confidences, NaN where there is none."""


def listed_truth(values: Entry, categories: Categories, pngs: Path, oddity: Oddity) -> ListedMap:
    """Read an annotation of a truth.

    Args:
        values: The annotation.
        categories: Classes of the file.
        pngs: Folder of the PNGs.
        oddity: Is told of segments that are listed twice, of which the last counts, and of
            categories that the file does not list.

    Raises:
        ValueError: If the annotation breaks the format; the message names the segment.
    """
    segments = _segments(values, VOID + 1, oddity)
    labels = []
    for number, info in segments.items():
        label = _label(info, categories)
        if label == UNKNOWN:
            oddity(f"segment {number}: 'category_id' is {_unknown(info, categories)}")
        labels.append(label)
    return ListedMap(
        png=json_fields.path_in(pngs, values, "file_name"),
        ids=np.array(list(segments), np.int64),
        labels=np.array(labels, np.int64),
        iscrowd=np.array(_crowds(segments), bool),
        areas=np.array(_areas(segments), np.int64),
        scores=np.full(len(segments), np.nan),
    )


def listed_prediction(
    values: Entry, categories: Categories, pngs: Path, oddity: Oddity
) -> ListedMap:
    """Read an annotation of predictions.

    Args:
        values: The annotation. What it claims as areas does not count, and id 0 may be a segment.
        categories: Classes of the truth.
        pngs: Folder of the PNGs.
        oddity: Is told of segments that are listed twice, of which the last counts.

    Raises:
        ValueError: If the annotation breaks the format or has an unknown category; the message
            names the segment.
    """
    segments = _segments(values, VOID, oddity)
    labels = []
    for number, info in segments.items():
        label = _label(info, categories)
        if label == UNKNOWN:
            raise ValueError(f"segment {number}: 'category_id' is {_unknown(info, categories)}")
        labels.append(label)
    return ListedMap(
        png=json_fields.path_in(pngs, values, "file_name"),
        ids=np.array(list(segments), np.int64),
        labels=np.array(labels, np.int64),
        iscrowd=np.zeros(len(segments), bool),
        areas=np.full(len(segments), UNSTATED),
        scores=np.array(_scores(segments), np.float64),
    )


def _segments(values: Entry, lowest: int, oddity: Oddity) -> dict[int, Entry]:
    infos = json_fields.items(values, "segments_info")
    plain: dict[Any, Any]
    try:
        plain = {info["id"]: info for info in infos}  # type: ignore[index]  # it may be anything
    except (KeyError, TypeError):
        plain = {}
    if len(plain) == len(infos) and all(_isnumber(each, lowest, MAX_ID) for each in plain):
        return plain
    segments: dict[int, Entry] = {}
    for position, value in enumerate(infos):
        try:
            info = json_fields.entry(value)
            number = json_fields.integer(info, "id", lowest=lowest, highest=MAX_ID)
        except ValueError as error:
            raise ValueError(f"segments_info[{position}]: {error}") from None
        if number in segments:
            oddity(f"segment {number}: is listed twice")
        segments[number] = info
    return segments


def _label(info: Entry, categories: Categories) -> int:
    category_id = info.get("category_id")
    if not isinstance(category_id, int | str):
        return UNKNOWN
    try:
        return categories.label(category_id)
    except KeyError:
        return UNKNOWN


def _unknown(info: Entry, categories: Categories) -> str:
    found = json_fields.identity(info, "category_id")
    return f"{found!r}, expected one of the {len(categories)} categories"


def _crowds(segments: dict[int, Entry]) -> list[bool]:
    if all(_isnumber(info.get("iscrowd"), 0, 1) for info in segments.values()):
        return [info["iscrowd"] == 1 for info in segments.values()]
    return _each(
        segments,
        lambda info: json_fields.has(info, "iscrowd") and json_fields.flag(info, "iscrowd"),
    )


def _areas(segments: dict[int, Entry]) -> list[int]:
    areas = [info.get("area") for info in segments.values()]
    if all(_isnumber(area, 0, _MOST_PIXELS) for area in areas):
        return areas  # type: ignore[return-value]  # that is what was just seen
    return _each(segments, _area)


def _area(info: Entry) -> int:
    if not json_fields.has(info, "area"):
        return UNSTATED
    return json_fields.integer(info, "area", highest=_MOST_PIXELS)


def _scores(segments: dict[int, Entry]) -> list[float]:
    return _each(
        segments,
        lambda info: (
            json_fields.number(info, "score") if json_fields.has(info, "score") else np.nan
        ),
    )


def _each(segments: dict[int, Entry], read: Callable[[Entry], _Value]) -> list[_Value]:
    values = []
    for number, info in segments.items():
        try:
            values.append(read(info))
        except ValueError as error:
            raise ValueError(f"segment {number}: {error}") from None
    return values


def _isnumber(value: object, lowest: int, highest: int) -> bool:
    """Tell whether a value needs no closer look, as nearly all don't."""
    return type(value) is int and lowest <= value <= highest
