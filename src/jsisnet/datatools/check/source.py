"""All that is wrong with the images of a data set in any format."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jsisnet.categories import CategoryId
from jsisnet.datatools.check.image import Examined, Photo, look_for
from jsisnet.datatools.check.listing import ListedCategory, categories_of
from jsisnet.datatools.check.rules import Case, Rule
from jsisnet.datatools.check.segments import MIN_LABELLED, Segments, Shown, by_id, regions
from jsisnet.formats import categories_json as category_entries
from jsisnet.formats.map_index import map_stem
from jsisnet.formats.records import Record, Source
from jsisnet.panoptic import ImageId, PanopticMap


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceExamination:
    """Images of a data set, examined one by one."""

    source: Source
    """The data set."""

    categories: Mapping[CategoryId, ListedCategory]
    """Its classes."""

    cases: tuple[Case, ...]
    """What is wrong with classes, names and ids."""

    @property
    def own(self) -> int:
        """Count the images."""
        return len(self.source.records)

    def __len__(self) -> int:
        return self.own

    def share(self, begin: int, first: int, step: int) -> Iterator[Examined]:
        """Examine the images in the positions ``begin + first``, ``begin + first + step``, ..."""
        for record in self.source.records[begin + first :: step]:
            yield self._examined(record)

    def _examined(self, record: Record) -> Examined:
        photo, cases = _photo(record)
        panoptic = _map(record, photo, cases)
        segments = None if panoptic is None else self._segments(panoptic, cases)
        complete = photo is not None or record.image is None
        usable = {} if segments is None or not complete else segments.usable()
        return Examined(
            name=record.name,
            cases=tuple(
                Case(case.rule, f"image {record.image_id!r}: {case.sentence}") for case in cases
            ),
            digest=None if photo is None else photo.digest,
            segments=len(usable),
            seen=tuple(dict.fromkeys(segment.category_id for segment in usable.values())),
        )

    def _segments(self, panoptic: PanopticMap, cases: list[Case]) -> Segments:
        shown = by_id(regions(panoptic.ids.view(np.uint32)))
        names, infos = {}, []
        for number, segment in enumerate(panoptic.segments, 1):
            category = self.source.categories[segment.label]
            info = {"id": number, "category_id": category.id, "iscrowd": int(segment.iscrowd)}
            infos.append(info | _described(shown.get(number)))
            names[number] = _name(category.name, number, shown.get(number))
        # Outlines of things leave most of an image void.
        needed = MIN_LABELLED if self.source.categories.stuff_labels else 0.0
        segments = Segments(infos, shown, self.categories, names=names, min_labelled=needed)
        # A file of outlines may list what others cover, so it is no mistake in the map.
        cases += [
            Case(Rule.HIDDEN if case.rule is Rule.SEGMENT_EMPTY else case.rule, case.sentence)
            for case in segments.cases
        ]
        return segments


def examination(source: Source) -> SourceExamination:
    """Look at all that can be seen before any map is read."""
    cases: list[Case] = []
    categories = categories_of(category_entries.entries(source.categories), cases)
    cases += _shared(source.records)
    return SourceExamination(source=source, categories=categories, cases=tuple(cases))


def _shared(records: Sequence[Record]) -> Iterator[Case]:
    ids: set[ImageId] = set()
    maps: dict[str, Record] = {}
    for record in records:
        if record.image_id in ids:
            yield Case(Rule.IMAGE_ID, f"image {record.image_id!r}: is listed twice")
        ids.add(record.image_id)
        other = maps.setdefault(map_stem(record.name), record)
        if other is not record and other.name == record.name:
            text = f"{record.name!r} is image {other.image_id!r} already"
            yield Case(Rule.IMAGE_NAME, f"image {record.image_id!r}: {text}")
        elif other is not record:
            text = f"{record.name!r} would share its map with {other.name!r}"
            yield Case(Rule.PNG_SHARED, f"image {record.image_id!r}: {text}")


def _photo(record: Record) -> tuple[Photo | None, list[Case]]:
    """Give the photo, if there is one, and what is wrong with it."""
    if record.image is None:
        return None, []
    found = look_for(record.image)
    cases = list(found.cases)
    if found.photo is not None and record.size not in (None, found.photo.size):
        text = f"{found.path} has {_by(found.photo.size)} pixels, but its entry says"
        cases.append(Case(Rule.PHOTO_SIZE, f"{text} {_by(record.size)}"))
    return found.photo, cases


def _map(record: Record, photo: Photo | None, cases: list[Case]) -> PanopticMap | None:
    try:
        panoptic = record.read()
    except (ValueError, OSError) as error:
        cases.append(Case(Rule.MAP, str(error)))
        return None
    if record.size not in (None, panoptic.size):
        text = f"its map has {_by(panoptic.size)} pixels, but its entry says {_by(record.size)}"
        cases.append(Case(Rule.MAP, text))
        return None
    if photo is not None and photo.size != panoptic.size:
        if photo.size == record.size or record.size is None:
            text = f"its map has {_by(panoptic.size)} pixels, but its photo {_by(photo.size)}"
            cases.append(Case(Rule.PNG_SIZE, text))
        return None
    return panoptic


def _described(shown: Shown | None) -> dict[str, object]:
    if shown is None:
        return {"area": 0, "bbox": [0, 0, 0, 0]}
    return {"area": shown.area, "bbox": shown.bbox}


def _name(name: str, number: int, shown: Shown | None) -> str:
    if shown is None:
        return f"{name}, segment {number}"
    x, y = shown.bbox[:2]
    return f"{name} at column {x}, row {y}"


def _by(size: tuple[int, int] | None) -> str:
    return " x ".join(map(str, size or ()))
