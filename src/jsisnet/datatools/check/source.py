"""Check of the images of a data set in any format."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from jsisnet.categories import CategoryId
from jsisnet.datatools.check.image import ImageResult, Photo, find_photo, note_link
from jsisnet.datatools.check.listing import ListedCategory, check_categories
from jsisnet.datatools.check.rules import Rule, Violation
from jsisnet.datatools.check.segments import (
    MIN_LABELLED,
    Region,
    SegmentCheck,
    distinct_categories,
    find_regions,
)
from jsisnet.files.links import Links
from jsisnet.files.stamps import stamps
from jsisnet.formats import categories_json as category_entries
from jsisnet.formats.map_index import map_stem
from jsisnet.formats.records import Record, Source, istransposed, size_text
from jsisnet.panoptic import ImageId, PanopticMap


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceChecker:
    """Checks the images of a data set one by one."""

    source: Source
    """The data set."""

    categories: Mapping[CategoryId, ListedCategory]
    """Its categories by id."""

    violations: tuple[Violation, ...]
    """What is wrong with categories, names and ids."""

    @property
    def num_images(self) -> int:
        """Number of images."""
        return len(self.source.records)

    def __len__(self) -> int:
        return self.num_images

    def check_every(
        self, positions: Sequence[int], numbers: Iterable[int]
    ) -> Iterator[ImageResult]:
        """Check some images, given their positions and the numbers of the positions to check."""
        for number in numbers:
            yield self._check(self.source.records[positions[number]])

    def _check(self, record: Record) -> ImageResult:
        before = tuple(stamps((*record.maps, record.image)))
        photo, violations = check_photo(record)
        panoptic = _read_map(record, photo, violations)
        segments = None if panoptic is None else self._check_segments(panoptic, violations)
        complete = photo is not None or record.image is None
        usable = {} if segments is None or not complete else segments.usable()
        return ImageResult(
            name=record.name,
            violations=tuple(
                Violation(each.rule, f"image {record.image_id!r}: {each.message}")
                for each in violations
            ),
            digest=None if photo is None else photo.digest,
            segments=len(usable),
            category_ids=distinct_categories(usable.values()),
            solid_ids=distinct_categories(s for s in usable.values() if not s.iscrowd),
            stamps=before,
        )

    def _check_segments(self, panoptic: PanopticMap, violations: list[Violation]) -> SegmentCheck:
        regions = find_regions(panoptic.ids.view(np.uint32))
        names, infos = {}, []
        for number, segment in enumerate(panoptic.segments, 1):
            category = self.source.categories[segment.label]
            info = {"id": number, "category_id": category.id, "iscrowd": int(segment.iscrowd)}
            infos.append(info | measured_fields(regions.get(number)))
            names[number] = _segment_name(category.name, number, regions.get(number))
        # Data sets with things alone leave most of an image void.
        needed = MIN_LABELLED if self.source.categories.stuff_labels else 0.0
        segments = SegmentCheck(infos, regions, self.categories, names=names, min_labelled=needed)
        # An outline may be covered by others, which is no error in the map.
        violations += [
            Violation(Rule.HIDDEN if each.rule is Rule.SEGMENT_EMPTY else each.rule, each.message)
            for each in segments.violations
        ]
        return segments


def source_checker(source: Source) -> SourceChecker:
    """Check what needs no map or photo, and prepare the check of the images."""
    violations: list[Violation] = []
    categories = check_categories(category_entries.entries(source.categories), violations)
    violations += find_duplicates(source.records)
    violations += [Violation(Rule.TOLERATED, warning) for warning in source.warnings]
    return SourceChecker(source=source, categories=categories, violations=tuple(violations))


def find_duplicates(records: Sequence[Record]) -> Iterator[Violation]:
    """Yield the images that share an id, a photo or the name of a map."""
    ids: set[ImageId] = set()
    maps: dict[str, Record] = {}
    for record in records:
        if record.image_id in ids:
            yield Violation(Rule.IMAGE_ID, f"image {record.image_id!r}: listed twice")
        ids.add(record.image_id)
        other = maps.setdefault(map_stem(record.name), record)
        if other is not record and other.name == record.name:
            text = f"{record.name!r} is already the photo of image {other.image_id!r}"
            yield Violation(Rule.IMAGE_NAME, f"image {record.image_id!r}: {text}")
        elif other is not record:
            text = f"{record.name!r} would share its map with {other.name!r}"
            yield Violation(Rule.PNG_SHARED, f"image {record.image_id!r}: {text}")


def check_photo(record: Record) -> tuple[Photo | None, list[Violation]]:
    """Return the photo, if there is one, and what is wrong with it."""
    if record.image is None:
        return None, []
    found = find_photo(record.image)
    folder = record.image.parents[len(PurePosixPath(record.name).parts) - 1]
    violations = [*note_link(Links(folder), record.image), *found.violations]
    if found.photo is not None and istransposed(record.size, found.photo.size):
        text = f"{found.path} is {size_text(found.photo.size)} pixels; its entry has them swapped"
        violations.append(Violation(Rule.SIZE_SWAPPED, text))
    elif found.photo is not None and record.size not in (None, found.photo.size):
        text = f"{found.path} is {size_text(found.photo.size)} pixels, but its entry says"
        violations.append(Violation(Rule.PHOTO_SIZE, f"{text} {size_text(record.size)}"))
    return found.photo, violations


def _read_map(
    record: Record, photo: Photo | None, violations: list[Violation]
) -> PanopticMap | None:
    try:
        panoptic = record.read()
    except (ValueError, OSError) as error:
        violations.append(Violation(Rule.MAP, str(error)))
        return None
    size = size_text(panoptic.size)
    if record.size not in (None, panoptic.size, panoptic.size[::-1]):
        text = f"its map is {size} pixels, but its entry says {size_text(record.size)}"
        violations.append(Violation(Rule.MAP, text))
        return None
    if photo is not None and photo.size != panoptic.size:
        if record.size in (None, photo.size, photo.size[::-1]):
            text = f"its map is {size} pixels, but its photo is {size_text(photo.size)}"
            violations.append(Violation(Rule.PNG_SIZE, text))
        return None
    return panoptic


def measured_fields(region: Region | None) -> dict[str, object]:
    """Return area and bbox of a region; ``None`` has no pixels."""
    if region is None:
        return {"area": 0, "bbox": [0, 0, 0, 0]}
    return {"area": region.area, "bbox": region.bbox}


def _segment_name(category: str, number: int, region: Region | None) -> str:
    if region is None:
        return f"{category}, segment {number}"
    x, y = region.bbox[:2]
    return f"{category} at column {x}, row {y}"
