"""Check and repair of the segments of one image."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jsisnet.arrays import Int64, UInt32
from jsisnet.categories import CategoryId
from jsisnet.datatools.check.listing import ListedCategory
from jsisnet.datatools.check.rules import Rule, Violation
from jsisnet.files import json_fields
from jsisnet.files.json_fields import Entry
from jsisnet.files.png import MAX_ID
from jsisnet.formats.pixel_codes import bgr_hint
from jsisnet.panoptic import VOID

FIELDS = ("area", "bbox", "iscrowd")
"""Fields that other tools need in an entry, and that can be filled in."""

MIN_LABELLED = 0.01
"""Fraction of an image that must have a class; below it, the image counts as void."""

_MIN_AREA = 4
MAX_PIECES = 10
"""Components of a thing, above which there is a note."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RegionArrays:
    """Measurements of each id in a map, void included, in ascending order of the ids."""

    ids: Int64[np.ndarray, " n"]
    """The ids, without repetition."""

    areas: Int64[np.ndarray, " n"]
    """Numbers of pixels, at least 1."""

    boxes: Int64[np.ndarray, "n 4"]
    """Tight boxes as x0, y0, x1, y1; x1 and y1 are exclusive."""

    pieces: Int64[np.ndarray, " n"]
    """Numbers of 8-connected components."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Region:
    """All pixels of a map that have the same id."""

    area: int
    """Number of pixels."""

    bbox: list[int]
    """Left, top, width, height in pixels."""

    pieces: int
    """Number of 8-connected components."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedSegment:
    """An entry of ``segments_info``."""

    pixel_id: int
    """Id of its pixels in the map; `VOID` for a segment whose listed id is 0."""

    info: Entry
    """The entry."""

    category_id: CategoryId
    """Category id in the file; it may be unknown."""

    isthing: bool | None
    """Whether the category is a thing; ``None`` if that is unknown."""

    iscrowd: bool
    """Whether it is a crowd."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RepairedAnnotation:
    """Map and entries of an image in a repaired copy."""

    ids: UInt32[np.ndarray, "h w"] | None
    """The map; ``None`` if the original one stays."""

    segments_info: list[dict[str, object]]
    """The entries, each with area, bbox and iscrowd."""


class SegmentCheck:
    """Compares the segments that a file lists for an image with the regions of its map."""

    def __init__(
        self,
        values: Sequence[object],
        regions: Mapping[int, Region],
        categories: Mapping[CategoryId, ListedCategory],
        *,
        names: Mapping[int, str] | None = None,
        min_labelled: float = MIN_LABELLED,
    ):
        """Check the segments.

        Args:
            values: The ``segments_info`` of the file, not validated yet.
            regions: Regions of the map by id, void included.
            categories: Categories of the file by id.
            names: Names for the segments in messages, by id; default: their ids.
            min_labelled: Fraction of the image that must have a class; with 0, one pixel.
        """
        self.regions = regions
        self.categories = categories
        self.listed: dict[int, ListedSegment] = {}
        """Valid entries by the ids of their pixels."""
        self.violations: list[Violation] = []
        """What is wrong; the messages do not name the image."""
        self._names = names or {}
        self._min_labelled = min_labelled
        self._listed_ids: set[int] = set()
        entries = [self._parse(position, value) for position, value in enumerate(values)]
        for entry in entries:
            if entry is not None:
                self._add_segment(*entry)
        self._check_map()
        for segment in self.listed.values():
            self._check_segment(segment)
        self._check_stuff()

    def usable(self) -> dict[int, ListedSegment]:
        """Return the segments with pixels and a known category, by the ids of their pixels."""
        return {
            pixel_id: segment
            for pixel_id, segment in self.listed.items()
            if segment.category_id in self.categories and pixel_id in self.regions
        }

    def _add(self, rule: Rule, message: str) -> None:
        self.violations.append(Violation(rule, message))

    def _parse(self, position: int, value: object) -> tuple[int, Entry] | None:
        try:
            info = self._in_form(json_fields.entry(value))
            listed_id = json_fields.integer(info, "id", lowest=-(2**62))
        except ValueError as error:
            self._add(Rule.ENTRY, f"segments_info[{position}]: {error}")
            return None
        self._listed_ids.add(listed_id)
        return listed_id, info

    def _in_form(self, info: Entry) -> Entry:
        """Replace numbers in quotes, other flags, and ids of categories known in the other way."""
        changed = {"id": json_fields.unquoted(info["id"])} if "id" in info else {}
        if json_fields.has(info, "iscrowd"):
            changed["iscrowd"] = int(json_fields.crowd_flag(info["iscrowd"]))
        category_id = info.get("category_id")
        if isinstance(category_id, int | str) and category_id not in self.categories:
            known = json_fields.twin(category_id, self.categories)
            changed["category_id"] = category_id if known is None else known
        for key, value in changed.items():
            if value != info[key]:
                found, meant = json_fields.shown(info[key]), json_fields.shown(value)
                text = f"segment {info.get('id')}: {key!r} is {found}; expected {meant}"
                isquoted = key != "iscrowd" or value == json_fields.unquoted(info[key])
                self._add(Rule.QUOTES if isquoted else Rule.ISCROWD, text)
        return {**info, **changed}

    def _add_segment(self, listed_id: int, info: Entry) -> None:
        try:
            category_id = json_fields.identity(info, "category_id")
            iscrowd = json_fields.has(info, "iscrowd") and json_fields.flag(info, "iscrowd")
        except ValueError as error:
            self._add(Rule.ENTRY, f"segment {listed_id}: {error}")
            return
        pixel_id = listed_id
        if not VOID < listed_id <= MAX_ID:
            self._add(Rule.SEGMENT_ID, f"segment {listed_id}: expected an id from 1 to {MAX_ID}")
            identified = self._identify_pixels(listed_id, info)
            if identified is None:
                return
            pixel_id = identified
        if pixel_id in self.listed:
            self._add(Rule.SEGMENT_TWICE, f"segment {listed_id}: listed twice")
        category = self.categories.get(category_id)
        if category is None:
            self._add(Rule.CATEGORY, f"segment {listed_id}: unknown category {category_id!r}")
        self.listed[pixel_id] = ListedSegment(
            pixel_id=pixel_id,
            info=info,
            category_id=category_id,
            isthing=None if category is None else category.isthing,
            iscrowd=iscrowd,
        )

    def _identify_pixels(self, listed_id: int, info: Entry) -> int | None:
        """Return the id of the pixels that an out-of-range id refers to, if that is certain."""
        if listed_id == VOID:
            # Void has the same id, unless all of it is this segment.
            void = self.regions.get(VOID)
            return VOID if void is not None and info.get("area") == void.area else None
        # Only the low 24 bits of an id survive in a PNG.
        low = listed_id & MAX_ID
        unique = low in self.regions and low not in self._listed_ids
        return low if listed_id > MAX_ID and unique else None

    def _check_map(self) -> None:
        known = self._listed_ids | set(self.listed) | {VOID}
        unlisted = [pixel_id for pixel_id in self.regions if pixel_id not in known]
        if unlisted:
            pixels = sum(self.regions[pixel_id].area for pixel_id in unlisted)
            which = f"id {unlisted[0]}"
            if len(unlisted) > 1:
                which = f"{len(unlisted):,} ids such as {unlisted[0]}"
            noun, verb = ("pixel", "uses") if pixels == 1 else ("pixels", "use")
            text = f"{pixels:,} {noun} {verb} {which}, which segments_info does not list"
            hint = bgr_hint(np.array(list(self.regions), np.int64), known)
            self._add(Rule.PNG_UNLISTED, text + hint)
        total = sum(region.area for region in self.regions.values())
        void = self.regions[VOID].area if VOID in self.regions and VOID not in self.listed else 0
        if total - void < max(1, self._min_labelled * total):
            self._add(Rule.VOID, f"{void:,} of {total:,} pixels are void")

    def _check_segment(self, segment: ListedSegment) -> None:
        place = self._names.get(segment.pixel_id) or f"segment {segment.info['id']}"
        region = self.regions.get(segment.pixel_id)
        if region is None:
            self._add(Rule.SEGMENT_EMPTY, f"{place}: no pixels")
            return
        self._check_fields(place, segment.info, region)
        if segment.iscrowd and segment.isthing is False:
            self._add(Rule.CROWD, f"{place}: stuff, but 'iscrowd' is 1")
        if region.area == 1:
            self._add(Rule.PIXEL, f"{place}: a single pixel")
        elif region.area < _MIN_AREA or 1 in region.bbox[2:]:
            width, height = region.bbox[2:]
            self._add(Rule.SLIVER, f"{place}: {region.area} pixels in a {height}x{width} box")
        if segment.isthing and not segment.iscrowd and region.pieces > MAX_PIECES:
            self._add(Rule.PIECES, f"{place}: in {region.pieces} pieces")

    def _check_fields(self, place: str, info: Entry, region: Region) -> None:
        non_finite = non_finite_fields(info)
        for name in non_finite:
            self._add(Rule.NUMBER, f"{place}: {name!r} is not finite")
        missing = [name for name in FIELDS if not json_fields.has(info, name)]
        if missing:
            self._add(Rule.FIELDS, f"{place}: missing {' or '.join(map(repr, missing))}")
        area, bbox = info.get("area"), info.get("bbox")
        if area != region.area and "area" not in {*missing, *non_finite}:
            stated = json_fields.shown(area)
            text = f"{place}: {region.area} pixels, but the JSON file says {stated}"
            self._add(Rule.AREA, text)
        if bbox != region.bbox and "bbox" not in {*missing, *non_finite}:
            text = f"{place}: its bbox is {region.bbox}, but the JSON file says {bbox}"
            self._add(Rule.BBOX, text)

    def _check_stuff(self) -> None:
        stuff = Counter(
            segment.category_id for segment in self.listed.values() if segment.isthing is False
        )
        for category_id, count in stuff.items():
            if count > 1:
                name = self.categories[category_id].entry["name"]
                self._add(Rule.STUFF_TWICE, f"{name!r} has {count} segments")


def distinct_categories(segments: Iterable[ListedSegment]) -> tuple[CategoryId, ...]:
    """Return the categories of segments, each once."""
    return tuple(dict.fromkeys(segment.category_id for segment in segments))


def measure_regions(ids: UInt32[np.ndarray, "h w"]) -> RegionArrays:
    """Measure the area, box and connected components of each id in a map."""
    height, width = ids.shape
    # Work on runs of equal pixels along the rows, which are far fewer than pixels.
    starts = np.ones((height, width), bool)
    np.not_equal(ids[:, 1:], ids[:, :-1], out=starts[:, 1:])
    firsts = np.flatnonzero(starts)
    rows, left = np.divmod(firsts, width)
    lengths = np.diff(firsts, append=height * width)
    right = left + lengths
    numbers, owners = np.unique(ids.ravel()[firsts], return_inverse=True)
    boxes = np.array([width, height, 0, 0]) + np.zeros((len(numbers), 1), np.int64)
    np.minimum.at(boxes[:, 0], owners, left)
    np.minimum.at(boxes[:, 1], owners, rows)
    np.maximum.at(boxes[:, 2], owners, right)
    np.maximum.at(boxes[:, 3], owners, rows + 1)
    # Lay the rows end to end on one axis, with a gap so that runs of one row never touch the next.
    offsets = rows * (width + 2)
    return RegionArrays(
        ids=numbers.astype(np.int64),
        areas=np.bincount(owners, lengths, len(numbers)).astype(np.int64),
        boxes=boxes,
        pieces=count_pieces(offsets + left, offsets + right, owners, width + 2),
    )


def find_regions(ids: UInt32[np.ndarray, "h w"]) -> dict[int, Region]:
    """Return the regions of a map by id, void included."""
    measured = measure_regions(ids)
    rows = zip(
        measured.ids.tolist(),
        measured.areas.tolist(),
        measured.boxes.tolist(),
        measured.pieces.tolist(),
        strict=True,
    )
    return {
        pixel_id: Region(area=area, bbox=[x0, y0, x1 - x0, y1 - y0], pieces=pieces)
        for pixel_id, area, (x0, y0, x1, y1), pieces in rows
    }


def count_pieces(
    begins: Int64[np.ndarray, " n"],
    ends: Int64[np.ndarray, " n"],
    owners: Int64[np.ndarray, " n"],
    stride: int,
    *,
    at_most: int | None = None,
) -> Int64[np.ndarray, " m"]:
    """Count the 8-connected components of each owner of runs.

    Args:
        begins: First positions of the runs, in ascending order, on lines laid end to end.
        ends: Positions after their last ones.
        owners: Numbers from 0 whose runs are connected with each other.
        stride: Distance of two lines; at least 2 more than their length.
        at_most: Where it is clear that no owner has more components than this, upper bounds of
            their numbers suffice, which are faster.
    """
    lower, upper = _touching_runs(begins, ends, stride)
    connected = owners[lower] == owners[upper]
    if at_most is not None:
        begin = np.ones(len(begins), bool)
        begin[lower[connected]] = False  # those that continue a run of the line before
        begun = np.bincount(owners[begin])
        if begun.max() <= at_most:
            return begun
    roots = _find_roots(len(begins), lower[connected], upper[connected])
    first_runs = roots == np.arange(len(roots))
    return np.bincount(owners[first_runs])


def repair(checked: SegmentCheck, ids: UInt32[np.ndarray, "h w"]) -> RepairedAnnotation:
    """Repair the map and the segments of an image as far as possible.

    Pixels without a usable entry become void, the segments of a stuff class are merged, and areas
    and boxes are recomputed.

    Args:
        checked: The segments of the image.
        ids: The map of the image.
    """
    usable = checked.usable()
    new_ids = _assign_ids(usable, checked.regions)
    regions: Mapping[int, Region] = checked.regions
    changed = None
    if any(old != new for old, new in new_ids.items()):
        changed = _renumber(ids, new_ids)
        regions = find_regions(changed)
    owners: dict[int, ListedSegment] = {}
    for pixel_id, segment in usable.items():
        owners.setdefault(new_ids[pixel_id], segment)
    infos = [_repaired_info(number, owner, regions[number]) for number, owner in owners.items()]
    return RepairedAnnotation(ids=changed, segments_info=infos)


def _touching_runs(
    begins: Int64[np.ndarray, " n"], ends: Int64[np.ndarray, " n"], stride: int
) -> tuple[Int64[np.ndarray, " m"], Int64[np.ndarray, " m"]]:
    """Return the index pairs of runs in adjacent rows that touch: the lower and the upper run."""
    first = np.searchsorted(ends, begins - stride)
    counts = np.searchsorted(begins, ends - stride, side="right") - first
    lower = np.repeat(np.arange(len(begins)), counts)
    nth = np.arange(len(lower)) - np.repeat(np.cumsum(counts) - counts, counts)
    return lower, first[lower] + nth


def _find_roots(
    count: int, one: Int64[np.ndarray, " m"], other: Int64[np.ndarray, " m"]
) -> Int64[np.ndarray, " n"]:
    """Return the lowest index of each connected component, given the edges between nodes."""
    roots = np.arange(count)
    while True:
        high, low = np.maximum(roots[one], roots[other]), np.minimum(roots[one], roots[other])
        if (high == low).all():
            return roots
        np.minimum.at(roots, high, low)
        # Compress the paths, so that every node points to a root.
        while (roots[roots] != roots).any():
            roots = roots[roots]


def _assign_ids(
    usable: Mapping[int, ListedSegment], regions: Mapping[int, Region]
) -> dict[int, int]:
    """Return the id of each region in the repaired map."""
    new_ids = dict.fromkeys(regions, VOID) | {pixel_id: pixel_id for pixel_id in usable}
    if VOID in usable:
        new_ids[VOID] = next(free for free in range(1, MAX_ID) if free not in regions)
    stuff_ids: dict[CategoryId, int] = {}
    for pixel_id, segment in usable.items():
        if segment.isthing is False:
            new_ids[pixel_id] = stuff_ids.setdefault(segment.category_id, new_ids[pixel_id])
    return new_ids


def _renumber(
    ids: UInt32[np.ndarray, "h w"], new_ids: Mapping[int, int]
) -> UInt32[np.ndarray, "h w"]:
    old: Int64[np.ndarray, " n"] = np.array(sorted(new_ids))
    new = np.array([new_ids[pixel_id] for pixel_id in old.tolist()], np.uint32)
    return new[np.searchsorted(old, ids)]


def _repaired_info(segment_id: int, segment: ListedSegment, region: Region) -> dict[str, object]:
    non_finite = non_finite_fields(segment.info)
    rest = {name: value for name, value in segment.info.items() if name not in non_finite}
    return {
        **rest,
        "id": segment_id,
        "category_id": segment.category_id,
        "area": region.area,
        "bbox": region.bbox,
        "iscrowd": int(segment.iscrowd and segment.isthing is not False),
    }


def non_finite_fields(info: Entry) -> list[str]:
    """Return the names of the fields that hold NaN or infinity."""
    return [name for name, value in info.items() if _has_non_finite(value)]


def _has_non_finite(value: object) -> bool:
    return any(map(_is_non_finite, value)) if isinstance(value, list) else _is_non_finite(value)


def _is_non_finite(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
