"""Check of a COCO instances file: its entries, and the outlines of each image."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

import numpy as np

from jsisnet.arrays import Int64
from jsisnet.categories import Categories, CategoryId
from jsisnet.datatools.check.image import ImageResult, Photo, find_photo, note_link
from jsisnet.datatools.check.listing import LISTS, ListedCategory, check_categories
from jsisnet.datatools.check.rules import Rule, Violation
from jsisnet.datatools.check.segments import (
    FIELDS,
    MAX_PIECES,
    Region,
    SegmentCheck,
    count_pieces,
    distinct_categories,
    non_finite_fields,
)
from jsisnet.datatools.check.source import measured_fields
from jsisnet.files import json_fields
from jsisnet.files.json_fields import Entry
from jsisnet.files.json_stream import ByteRange, EntryReader
from jsisnet.files.links import Links
from jsisnet.files.photo_folder import PhotoFolder
from jsisnet.files.stamps import stamp, stamps
from jsisnet.formats import categories_json as category_entries
from jsisnet.formats import coco_instances, masks
from jsisnet.formats.coco_instances import Annotation, Instance
from jsisnet.formats.instance_faults import Fault
from jsisnet.formats.masks import Intervals
from jsisnet.formats.records import size_text
from jsisnet.panoptic import VOID

RULES = {
    Fault.IMAGE: Rule.ENTRY,
    Fault.LINK: Rule.LINK_OUT,
    Fault.IMAGE_ID: Rule.IMAGE_ID,
    Fault.IMAGE_AGAIN: Rule.IMAGE_AGAIN,
    Fault.ENTRY: Rule.ENTRY,
    Fault.UNLISTED: Rule.UNLISTED,
    Fault.CATEGORY: Rule.CATEGORY,
    Fault.NO_OUTLINE: Rule.OUTLINE_MISSING,
    Fault.OUTLINE: Rule.OUTLINE,
    Fault.NOTHING: Rule.OUTLINE_NOTHING,
    Fault.CROWD: Rule.OUTLINE_CROWD,
    Fault.ID: Rule.ANNOTATION_ID,
    Fault.PART: Rule.OUTLINE_POINT,
    Fault.FORM: Rule.OUTLINE_FORM,
}
"""The rule that each kind of fault violates."""

LEFT_OUT = frozenset(rule for fault, rule in RULES.items() if not fault.tolerated)
"""Rules whose violations are left out with ``--keep-going``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InstancesChecker:
    """Checks the images of a COCO instances file one by one."""

    path: Path
    """The file."""

    photos: Path | None
    """Folder of the photos; ``None`` if they are not checked."""

    annotations: tuple[Annotation, ...]
    """The usable annotations, by image."""

    categories: Mapping[CategoryId, ListedCategory]
    """Categories of the file by id."""

    rest: Entry
    """The other top-level fields of the file."""

    violations: tuple[Violation, ...]
    """What is wrong with the lists and the entries; after `Rule.JSON` nothing is listed."""

    copied: bool
    """Whether there is a repaired copy."""

    @property
    def num_images(self) -> int:
        """Number of images."""
        return len(self.annotations)

    def __len__(self) -> int:
        return self.num_images

    def check_every(
        self, positions: Sequence[int], numbers: Iterable[int]
    ) -> Iterator[ImageResult]:
        """Check some images, given their positions and the numbers of the positions to check."""
        if not len(self):
            return  # and there may be no file
        with EntryReader(self.path) as entries:
            for number in numbers:
                yield self._check(self.annotations[positions[number]], entries)

    def _check(self, listed: Annotation, entries: EntryReader) -> ImageResult:
        before = (stamp(self.path), *stamps([] if self.photos is None else [listed.image]))
        image = dict(entries.read(listed.entry))
        name = str(image["file_name"])
        photo, violations = self._check_photo(listed, image)
        isother = photo is not None and photo.size != listed.size
        sized = _sized_as_photo(listed, entries) if isother else listed
        if sized is not listed:
            text = f"{listed.image} is {size_text(sized.size)} pixels; its entry has them swapped"
            violations = [each for each in violations if each.rule is not Rule.OUTLINE_SIZE]
            violations.append(Violation(Rule.SIZE_SWAPPED, text))
            image |= zip(("height", "width"), sized.size, strict=True)
            listed = sized
        fits = photo is None or photo.size == listed.size
        things = _things(listed, entries, listed.size) if fits else ()
        segments = self._check_things(things, listed.size, violations) if fits else None
        complete = fits and (photo is not None or self.photos is None)
        usable = segments.usable() if segments is not None and complete else {}
        kept = self.copied and complete
        return ImageResult(
            name=name,
            violations=tuple(
                Violation(each.rule, f"image {listed.image_id!r}: {each.message}")
                for each in violations
            ),
            digest=None if photo is None else photo.digest,
            segments=len(usable),
            category_ids=distinct_categories(usable.values()),
            solid_ids=distinct_categories(s for s in usable.values() if not s.iscrowd),
            image=image if kept else None,
            annotations=tuple(_repaired(thing) for thing in things) if kept else (),
            stamps=before,
        )

    def _check_photo(
        self, listed: Annotation, image: dict[str, object]
    ) -> tuple[Photo | None, list[Violation]]:
        """Return the photo, if there is one, and what is wrong; rename it in its entry."""
        if self.photos is None:
            return None, []
        found = find_photo(listed.image)
        violations = [*note_link(Links(self.photos), listed.image), *found.violations]
        name = found.path.relative_to(self.photos).as_posix()
        if name != image["file_name"] and found.photo is not None:
            if listed.image == found.path:  # and its case differs not
                text = f"{image['file_name']!r} is {found.path}"
                isform = normalize("NFC", name) == normalize("NFC", str(image["file_name"]))
                rule = Rule.PHOTO_NAME if isform else Rule.PHOTO_PATH
                violations.append(Violation(rule, text))
            image["file_name"] = name
        if found.photo is not None and found.photo.size != listed.size:
            text = f"{found.path} is {size_text(found.photo.size)} pixels, but its entry says"
            violations.append(Violation(Rule.OUTLINE_SIZE, f"{text} {size_text(listed.size)}"))
        return found.photo, violations

    def _check_things(
        self, things: Sequence["_Thing"], size: tuple[int, int], violations: list[Violation]
    ) -> SegmentCheck:
        names = {number: thing.name for number, thing in enumerate(things, 1)}
        regions, empty = measure_outlines([thing.instance for thing in things], size)
        infos = [
            {
                "id": number,
                "category_id": thing.instance.category_id,
                "iscrowd": int(thing.instance.iscrowd),
            }
            | measured_fields(regions.get(number))
            for number, thing in enumerate(things, 1)
        ]
        segments = SegmentCheck(infos, regions, self.categories, names=names, min_labelled=0.0)
        for thing in things:
            violations += thing.violations()
        violations += [Violation(Rule.OUTLINE_EMPTY, f"{names[n]}: no pixels") for n in empty]
        hidden = [number for number in names if number not in regions and number not in empty]
        violations += [Violation(Rule.HIDDEN, f"{names[n]}: no visible pixels") for n in hidden]
        violations += [each for each in segments.violations if each.rule is not Rule.SEGMENT_EMPTY]
        return segments


def instances_checker(path: Path, photos: Path | None, *, copied: bool) -> InstancesChecker:
    """Read the lists of a file, and prepare the check of the images.

    Args:
        path: COCO instances file.
        photos: Folder of the photos, if they are checked.
        copied: Whether there is a repaired copy.
    """
    violations: list[Violation] = []
    listed: dict[CategoryId, ListedCategory] = {}

    def parse_categories(fields: Entry, path: Path) -> Categories:
        listed.update(_check_categories(fields, path, violations))
        return category_entries.parse([{**each.entry, "isthing": 1} for each in listed.values()])

    file = None
    try:
        file = coco_instances.read_annotations(
            path,
            images=PhotoFolder(photos),
            keep_going=True,
            on_fault=lambda fault, text: violations.append(Violation(RULES[fault], text)),
            parse_categories=parse_categories,
        )
    except ValueError as error:
        violations = [Violation(Rule.JSON, str(error).removeprefix(f"{path}: "))]
    if file is not None:
        violations += _find_shared_photos(file.annotations)
    return InstancesChecker(
        path=path,
        photos=photos,
        annotations=() if file is None else file.annotations,
        categories={} if file is None else listed,
        rest={} if file is None else {k: v for k, v in file.fields.items() if k not in LISTS},
        violations=tuple(violations),
        copied=copied,
    )


def measure_outlines(
    instances: Sequence[Instance], size: tuple[int, int]
) -> tuple[dict[int, Region], list[int]]:
    """Measure the visible regions of things without drawing the map.

    Args:
        instances: The things, numbered from 1; `coco_instances.draw` gives their order.
        size: Height and width of the photo.

    Returns:
        The regions by number, that of void included, without those that are covered completely;
        and the numbers of things that had no pixel before.
    """
    height, width = size
    whole = masks.intervals([masks.runs(each.shape, size) for each in instances])
    visible = _visible(instances, whole)
    regions = _measure(visible, size)
    void = height * width - sum(region.area for region in regions.values())
    if void:
        regions[VOID] = Region(area=void, bbox=[0, 0, width, height], pieces=1)
    return regions, [number for number, found in enumerate(whole, 1) if not len(found)]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Thing:
    """An annotation and its entry."""

    entry: Entry
    instance: Instance
    size: tuple[int, int]
    isodd: bool
    """Whether its outline is not in COCO's form."""

    @property
    def name(self) -> str:
        number = self.instance.id
        return "annotation without an id" if number is None else f"annotation {number!r}"

    def violations(self) -> Iterator[Violation]:
        """Yield what is wrong with fields that other tools read."""
        wrong = non_finite_fields(self.entry)
        for name in wrong:
            yield Violation(Rule.NUMBER, f"{self.name}: {name!r} is not finite")
        missing = [name for name in FIELDS if not json_fields.has(self.entry, name)]
        if missing:
            text = f"{self.name}: missing {' or '.join(map(repr, missing))}"
            yield Violation(Rule.FIELDS, text)


def _sized_as_photo(listed: Annotation, entries: EntryReader) -> Annotation:
    """Swap height and width if the photo has them swapped, and all outlines fit it."""
    try:
        _things(listed, entries, coco_instances.own_size(listed.image, listed.size))
    except ValueError:
        return listed
    return coco_instances.sized_as_photo(listed)


def _things(listed: Annotation, entries: EntryReader, size: tuple[int, int]) -> tuple[_Thing, ...]:
    ranges = (ByteRange(*each) for each in listed.ranges.tolist())
    return tuple(_thing(entries.read(each), size) for each in ranges)


def _thing(entry: Entry, size: tuple[int, int]) -> _Thing:
    odd: list[object] = []
    instance = coco_instances.parse_instance(entry, size, lambda *each: odd.append(each))
    return _Thing(entry=entry, instance=instance, size=size, isodd=bool(odd))


def _repaired(thing: _Thing) -> Entry:
    """Return the entry of a thing with only the odd fields replaced."""
    wrong = non_finite_fields(thing.entry)
    entry = {name: value for name, value in thing.entry.items() if name not in wrong}
    if thing.isodd:
        entry["segmentation"] = masks.written(thing.instance.shape)
    if json_fields.has(entry, "iscrowd"):
        entry["iscrowd"] = int(thing.instance.iscrowd)
    if any(entry.get(name) is None for name in FIELDS):
        runs = masks.runs(thing.instance.shape, thing.size)
        measured = {
            "area": masks.area(runs),
            "bbox": masks.box(runs),
            "iscrowd": int(thing.instance.iscrowd),
        }
        entry |= {name: value for name, value in measured.items() if entry.get(name) is None}
    return entry


def _check_categories(
    fields: Entry, path: Path, violations: list[Violation]
) -> Mapping[CategoryId, ListedCategory]:
    """Check the categories, all of which are things whether the file says so or not."""
    values = []
    for value in json_fields.items(fields, "categories"):
        if isinstance(value, dict) and value.get("isthing") is None:
            value = {**value, "isthing": 1}  # noqa: PLW2901 - the same entry
        values.append(value)
    found = check_categories(values, violations, path)
    for category_id, category in found.items():
        if category.isthing is False:
            text = f"category {category_id!r}: stuff; expected only things in a file of instances"
            violations.append(Violation(Rule.CATEGORY_KIND, text))
    return found


def _find_shared_photos(annotations: Sequence[Annotation]) -> Iterator[Violation]:
    owners: dict[Path, Annotation] = {}
    for each in annotations:
        first = owners.setdefault(each.image, each)
        if first is not each:
            text = f"{each.image.name!r} is already the photo of image {first.image_id!r}"
            yield Violation(Rule.IMAGE_NAME, f"image {each.image_id!r}: {text}")


def _visible(instances: Sequence[Instance], whole: Sequence[Intervals]) -> list[Intervals]:
    """Return what others leave of each thing, in the order of `coco_instances.draw`."""
    areas = [int((each[:, 1] - each[:, 0]).sum()) for each in whole]
    order = sorted(range(len(whole)), key=lambda i: (not instances[i].iscrowd, -areas[i]))
    visible = list(whole)
    above: list[Intervals] = []
    for number in reversed(order):
        own = whole[number]
        if not len(own):
            continue
        near = [each for each in above if each[0, 0] < own[-1, 1] and own[0, 0] < each[-1, 1]]
        if near:
            visible[number] = _without(own, np.concatenate(near))
        above.append(own)
    return visible


def _without(own: Intervals, others: Intervals) -> Intervals:
    """Remove intervals, which may overlap each other, from intervals that do not."""
    bounds = np.concatenate([own.ravel(), others.ravel()])
    # Only what is inside `own` and outside all others has a depth of 1.
    steps = np.concatenate([np.tile([1, -1], len(own)), np.tile([-2, 2], len(others))])
    order = np.argsort(bounds, kind="stable")
    positions, depths = bounds[order], np.cumsum(steps[order])
    free = (depths[:-1] == 1) & (positions[:-1] < positions[1:])
    return masks.joined(np.stack([positions[:-1][free], positions[1:][free]], axis=1))


def _measure(visible: Sequence[Intervals], size: tuple[int, int]) -> dict[int, Region]:
    """Measure regions that are given as intervals down the columns, by number from 1."""
    height, width = size
    shown = [number for number, each in enumerate(visible) if len(each)]
    if not shown:
        return {}
    intervals = np.concatenate([visible[number] for number in shown])
    owners = np.repeat(np.arange(len(shown)), [len(visible[number]) for number in shown])
    columns, tops, bottoms, owners = _split_at_columns(intervals, owners, height)
    firsts = np.flatnonzero(np.append(True, owners[1:] != owners[:-1]))
    x0, x1 = columns[firsts], np.maximum.reduceat(columns, firsts) + 1
    y0, y1 = np.minimum.reduceat(tops, firsts), np.maximum.reduceat(bottoms, firsts)
    areas = np.add.reduceat(bottoms - tops, firsts)
    # Regions overlap in no pixel, but two of them must not seem to touch: each gets own columns.
    offsets = (columns + owners * (width + 2)) * (height + 2)
    bounds = offsets + tops, offsets + bottoms
    pieces = count_pieces(*bounds, owners, height + 2, at_most=MAX_PIECES)
    rows = zip(
        shown,
        areas.tolist(),
        np.stack([x0, y0, x1 - x0, y1 - y0], axis=1).tolist(),
        pieces.tolist(),
        strict=True,
    )
    return {number + 1: Region(area=a, bbox=bbox, pieces=p) for number, a, bbox, p in rows}


def _split_at_columns(
    intervals: Intervals, owners: Int64[np.ndarray, " n"], height: int
) -> tuple[Int64[np.ndarray, " m"], ...]:
    """Return column, top, bottom and owner of each run inside one column."""
    first = intervals[:, 0] // height
    counts = (intervals[:, 1] - 1) // height - first + 1
    which = np.repeat(np.arange(len(intervals)), counts)
    columns = first[which] + np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    tops = np.maximum(intervals[which, 0] - columns * height, 0)
    bottoms = np.minimum(intervals[which, 1] - columns * height, height)
    return columns, tops, bottoms, owners[which]
