"""What is wrong with the segments of an image."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jsisnet.arrays import Int64, UInt32
from jsisnet.categories import CategoryId
from jsisnet.datatools.check.listing import ListedCategory
from jsisnet.datatools.check.rules import Case, Rule
from jsisnet.files import json_fields
from jsisnet.files.json_fields import Entry
from jsisnet.files.png import MAX_ID
from jsisnet.panoptic import VOID


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Regions:
    """What a map shows of each id in it, in ascending order; void is one of them."""

    ids: Int64[np.ndarray, " n"]
    """Each id once."""

    areas: Int64[np.ndarray, " n"]
    """Pixels, at least one."""

    boxes: Int64[np.ndarray, "n 4"]
    """Tight boxes: x0, y0, x1, y1, upper end exclusive."""

    pieces: Int64[np.ndarray, " n"]
    """Parts that do not touch each other, not even at a corner."""


def regions(ids: UInt32[np.ndarray, "h w"]) -> Regions:
    """Describe the regions of a map."""
    height, width = ids.shape
    # Runs of equal pixels along the rows are far fewer than pixels.
    starts = np.ones((height, width), bool)
    np.not_equal(ids[:, 1:], ids[:, :-1], out=starts[:, 1:])
    firsts = np.flatnonzero(starts)
    rows, left = np.divmod(firsts, width)
    lengths = np.diff(firsts, append=height * width)
    right = left + lengths
    numbers, places = np.unique(ids.ravel()[firsts], return_inverse=True)
    boxes = np.array([width, height, 0, 0]) + np.zeros((len(numbers), 1), np.int64)
    np.minimum.at(boxes[:, 0], places, left)
    np.minimum.at(boxes[:, 1], places, rows)
    np.maximum.at(boxes[:, 2], places, right)
    np.maximum.at(boxes[:, 3], places, rows + 1)
    # Rows behind each other on one axis, so far apart that none touches the next.
    shifts = rows * (width + 2)
    lower, upper = _touching(shifts + left, shifts + right, width + 2)
    alike = places[lower] == places[upper]
    roots = _roots(len(firsts), lower[alike], upper[alike])
    first_runs = roots == np.arange(len(roots))
    return Regions(
        ids=numbers.astype(np.int64),
        areas=np.bincount(places, lengths, len(numbers)).astype(np.int64),
        boxes=boxes,
        pieces=np.bincount(places[first_runs], minlength=len(numbers)),
    )


def _touching(
    begins: Int64[np.ndarray, " n"], ends: Int64[np.ndarray, " n"], stride: int
) -> tuple[Int64[np.ndarray, " m"], Int64[np.ndarray, " m"]]:
    """Give the pairs of runs that touch: the numbers of the lower ones and of the upper ones."""
    first = np.searchsorted(ends, begins - stride)
    counts = np.searchsorted(begins, ends - stride, side="right") - first
    lower = np.repeat(np.arange(len(begins)), counts)
    nth = np.arange(len(lower)) - np.repeat(np.cumsum(counts) - counts, counts)
    return lower, first[lower] + nth


def _roots(
    count: int, one: Int64[np.ndarray, " m"], other: Int64[np.ndarray, " m"]
) -> Int64[np.ndarray, " n"]:
    """Give for each of some things the first one that pairs connect it with."""
    roots = np.arange(count)
    while True:
        high, low = np.maximum(roots[one], roots[other]), np.minimum(roots[one], roots[other])
        if (high == low).all():
            return roots
        np.minimum.at(roots, high, low)
        # Every thing then hangs at a root itself.
        while (roots[roots] != roots).any():
            roots = roots[roots]


FIELDS = ("area", "bbox", "iscrowd")
"""What other tools need of a segment, and this one can tell from its pixels or take for 0."""

MIN_LABELLED = 0.01
"""Part of an image; one with less is taken for void."""

_SMALL = 4
_MOST_PIECES = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A region of a map."""

    area: int
    """Pixels."""

    bbox: list[int]
    """Left, top, width, height."""

    pieces: int
    """Parts that do not touch each other."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A segment that a file lists and whose pixels, if there are any, are known."""

    number: int
    """Id of its pixels in the map; `VOID` for a segment that the file calls 0."""

    info: Entry
    """Its entry."""

    category_id: CategoryId
    """As in the file; it may be unknown."""

    isthing: bool | None
    """``None`` if nobody can tell."""

    iscrowd: bool
    """Whether it is a group of things."""


def by_id(found: Regions) -> dict[int, Shown]:
    """Give the regions of a map by their ids, void included."""
    described = zip(
        found.ids.tolist(),
        found.areas.tolist(),
        found.boxes.tolist(),
        found.pieces.tolist(),
        strict=True,
    )
    return {
        number: Shown(area=area, bbox=[x0, y0, x1 - x0, y1 - y0], pieces=pieces)
        for number, area, (x0, y0, x1, y1), pieces in described
    }


class Segments:
    """The segments of an image, as its file lists them and as its map shows them."""

    def __init__(
        self,
        values: Sequence[object],
        shown: Mapping[int, Shown],
        categories: Mapping[CategoryId, ListedCategory],
        *,
        names: Mapping[int, str] | None = None,
        min_labelled: float = MIN_LABELLED,
    ):
        """Look for faults.

        Args:
            values: What the file lists, whatever it is.
            shown: What the map shows.
            categories: Classes of the file.
            names: What to call the segments, by their ids, if not by these.
            min_labelled: Part of the image that has to have a class; with 0, a pixel does.
        """
        self.shown = shown
        self.categories = categories
        self.listed: dict[int, Listed] = {}
        """Entries that can be read, by the ids of their pixels."""
        self.cases: list[Case] = []
        """What is wrong, in sentences that do not name the image."""
        self._names = names or {}
        self._min_labelled = min_labelled
        self._named: set[int] = set()
        entries = [self._entry(position, value) for position, value in enumerate(values)]
        for entry in entries:
            if entry is not None:
                self._take(*entry)
        self._check_map()
        for segment in self.listed.values():
            self._check(segment)
        self._check_stuff()

    def usable(self) -> dict[int, Listed]:
        """Give the segments with pixels and a known category, by the ids of their pixels."""
        return {
            number: segment
            for number, segment in self.listed.items()
            if segment.category_id in self.categories and number in self.shown
        }

    def _add(self, rule: Rule, sentence: str) -> None:
        self.cases.append(Case(rule, sentence))

    def _entry(self, position: int, value: object) -> tuple[int, Entry] | None:
        try:
            info = json_fields.entry(value)
            number = json_fields.integer(info, "id", lowest=-(2**62))
        except ValueError as error:
            self._add(Rule.ENTRY, f"segments_info[{position}]: {error}")
            return None
        self._named.add(number)
        return number, info

    def _take(self, number: int, info: Entry) -> None:
        try:
            category_id = json_fields.identity(info, "category_id")
            iscrowd = json_fields.has(info, "iscrowd") and json_fields.flag(info, "iscrowd")
        except ValueError as error:
            self._add(Rule.ENTRY, f"segment {number}: {error}")
            return
        pixels = number
        if not VOID < number <= MAX_ID:
            self._add(Rule.SEGMENT_ID, f"segment {number}: expected an id from 1 to {MAX_ID}")
            found = self._pixels_of(number, info)
            if found is None:
                return
            pixels = found
        if pixels in self.listed:
            self._add(Rule.SEGMENT_TWICE, f"segment {number}: is listed twice")
        category = self.categories.get(category_id)
        if category is None:
            self._add(Rule.CATEGORY, f"segment {number}: has the category {category_id!r}")
        self.listed[pixels] = Listed(
            number=pixels,
            info=info,
            category_id=category_id,
            isthing=None if category is None else category.isthing,
            iscrowd=iscrowd,
        )

    def _pixels_of(self, number: int, info: Entry) -> int | None:
        """Tell which pixels an impossible id means."""
        if number == VOID:
            # Void has that id too, unless all of it is this segment.
            void = self.shown.get(VOID)
            return VOID if void is not None and info.get("area") == void.area else None
        # Whoever stores a number that is too large in three bytes loses its upper digits.
        low = number & MAX_ID
        return low if number > MAX_ID and low in self.shown and low not in self._named else None

    def _check_map(self) -> None:
        known = self._named | set(self.listed) | {VOID}
        strange = [number for number in self.shown if number not in known]
        if strange:
            pixels = sum(self.shown[number].area for number in strange)
            text = f"{pixels:,} pixels have {len(strange):,} ids that are not listed"
            self._add(Rule.PNG_UNLISTED, f"{text}, such as {strange[0]}")
        total = sum(each.area for each in self.shown.values())
        void = self.shown[VOID].area if VOID in self.shown and VOID not in self.listed else 0
        if total - void < max(1, self._min_labelled * total):
            self._add(Rule.VOID, f"{void:,} of {total:,} pixels are void")

    def _check(self, segment: Listed) -> None:
        place = self._names.get(segment.number) or f"segment {segment.info['id']}"
        shown = self.shown.get(segment.number)
        if shown is None:
            self._add(Rule.SEGMENT_EMPTY, f"{place}: owns no pixel")
            return
        self._check_fields(place, segment.info, shown)
        if segment.iscrowd and segment.isthing is False:
            self._add(Rule.CROWD, f"{place}: is stuff, but 'iscrowd' is 1")
        if shown.area == 1:
            self._add(Rule.PIXEL, f"{place}: is a single pixel")
        elif shown.area < _SMALL or 1 in shown.bbox[2:]:
            width, height = shown.bbox[2:]
            self._add(Rule.SLIVER, f"{place}: has {shown.area} pixels, {height} x {width}")
        if segment.isthing and not segment.iscrowd and shown.pieces > _MOST_PIECES:
            self._add(Rule.PIECES, f"{place}: is in {shown.pieces} pieces")

    def _check_fields(self, place: str, info: Entry, shown: Shown) -> None:
        infinite = not_finite(info)
        for name in infinite:
            self._add(Rule.NUMBER, f"{place}: {name!r} is not finite")
        missing = [name for name in FIELDS if not json_fields.has(info, name)]
        if missing:
            self._add(Rule.FIELDS, f"{place}: has no {' or '.join(map(repr, missing))}")
        area, bbox = info.get("area"), info.get("bbox")
        if area != shown.area and not {"area"} & {*missing, *infinite}:
            text = f"{place}: has {shown.area} pixels, but the JSON file says {area}"
            self._add(Rule.AREA, text)
        if bbox != shown.bbox and not {"bbox"} & {*missing, *infinite}:
            text = f"{place}: its bbox is {shown.bbox}, but the JSON file says {bbox}"
            self._add(Rule.BBOX, text)

    def _check_stuff(self) -> None:
        stuff = Counter(
            segment.category_id for segment in self.listed.values() if segment.isthing is False
        )
        for category_id, count in stuff.items():
            if count > 1:
                name = self.categories[category_id].entry["name"]
                self._add(Rule.STUFF_TWICE, f"{name!r} is {count} segments")


def not_finite(info: Entry) -> list[str]:
    """Name the fields that hold a number that is none, or is infinite."""
    return [name for name, value in info.items() if any(map(_isstrange, _numbers(value)))]


def _numbers(value: object) -> Iterator[object]:
    if isinstance(value, list):
        yield from value
    else:
        yield value


def _isstrange(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


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
    numbers = _new_numbers(kept, segments.shown)
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


def _new_numbers(kept: Mapping[int, Listed], shown: Mapping[int, Shown]) -> dict[int, int]:
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
