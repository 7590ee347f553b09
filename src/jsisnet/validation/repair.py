"""Maps and entries of segments without faults, from those with some."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt32

from jsisnet.categories import CategoryId
from jsisnet.datatools.check.segments import Listed, Segments, Shown, by_id, not_finite
from jsisnet.files.png import MAX_ID
from jsisnet.panoptic import VOID
from jsisnet.validation.regions import regions


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Repaired:
    """What a copy of an image's annotation holds."""

    ids: UInt32[np.ndarray, "h w"] | None
    """The map; ``None`` if it is that of the original."""

    segments_info: list[dict[str, object]]
    """The entries, each with area, bbox and iscrowd."""


def repaired(segments: Segments, ids: UInt32[np.ndarray, "h w"]) -> Repaired:
    """Repair what can be repaired.

    Pixels that no usable entry claims become void, the segments of a stuff class become one, and
    areas and boxes are those of the pixels.

    Args:
        segments: What the file lists.
        ids: The map that it lists.
    """
    kept = segments.usable()
    numbers = _numbers(kept, segments.shown)
    shown: Mapping[int, Shown] = segments.shown
    changed = None
    if any(number != new for number, new in numbers.items()):
        changed = _renumbered(ids, numbers)
        shown = by_id(regions(changed))
    owners: dict[int, Listed] = {}
    for number, segment in kept.items():
        owners.setdefault(numbers[number], segment)
    infos = [_info(number, segment, shown[number]) for number, segment in owners.items()]
    return Repaired(ids=changed, segments_info=infos)


def _numbers(kept: Mapping[int, Listed], shown: Mapping[int, Shown]) -> dict[int, int]:
    """Give the new id of each region of a map."""
    numbers = dict.fromkeys(shown, VOID) | {number: number for number in kept}
    if VOID in kept:
        numbers[VOID] = next(free for free in range(1, MAX_ID) if free not in shown)
    first: dict[CategoryId, int] = {}
    for number, segment in kept.items():
        if segment.isthing is False:
            numbers[number] = first.setdefault(segment.category_id, numbers[number])
    return numbers


def _renumbered(
    ids: UInt32[np.ndarray, "h w"], numbers: Mapping[int, int]
) -> UInt32[np.ndarray, "h w"]:
    old: Int64[np.ndarray, " n"] = np.array(sorted(numbers))
    new = np.array([numbers[number] for number in old.tolist()], np.uint32)
    return new[np.searchsorted(old, ids)]


def _info(number: int, segment: Listed, shown: Shown) -> dict[str, object]:
    broken = not_finite(segment.info)
    rest = {name: value for name, value in segment.info.items() if name not in broken}
    return {
        **rest,
        "id": number,
        "category_id": segment.category_id,
        "area": shown.area,
        "bbox": shown.bbox,
        "iscrowd": int(segment.iscrowd and segment.isthing is not False),
    }
