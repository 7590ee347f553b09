"""What a COCO panoptic file lists, and all that is wrong with its lists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jsisnet.categories import CategoryId
from jsisnet.datatools.check.rules import Case, Rule
from jsisnet.files import json_fields
from jsisnet.files.json_fields import Entry
from jsisnet.files.json_stream import Place, scan
from jsisnet.formats import categories_json as category_entries
from jsisnet.panoptic import IGNORE, ImageId

LISTS = ("images", "annotations", "categories")
"""What a file has to hold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedImage:
    """Where the file speaks of an image."""

    image_id: ImageId
    """Once in a listing."""

    image: Place
    """Its entry."""

    annotation: Place | None
    """The last one of its annotations, if there is any."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedCategory:
    """A category, as it will be in a repaired copy."""

    entry: Entry
    """With a name of its own, and a colour of its own or none."""

    isthing: bool | None
    """``None`` if the file does not say it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """The lists of a file, without what can't be used."""

    path: Path
    """The file."""

    images: tuple[ListedImage, ...]
    """In the order of the file."""

    categories: Mapping[CategoryId, ListedCategory]
    """By their ids, in the order of the file."""

    rest: Entry
    """The other fields of the file."""

    cases: tuple[Case, ...]
    """What is wrong; if that is `Rule.JSON`, nothing is listed."""


def listing(path: Path) -> Listing:
    """Read the lists of a file, of which only the places of the entries stay in memory."""
    reader = _Reader()
    try:
        rest = scan(path, {"images": reader.image, "annotations": reader.annotation})
        lists = {name: json_fields.items(rest, name) for name in LISTS}
    except ValueError as error:
        case = Case(Rule.JSON, str(error).removeprefix(f"{path}: "))
        return Listing(path=path, images=(), categories={}, rest={}, cases=(case,))
    categories = categories_of(lists["categories"], reader.cases)
    return Listing(
        path=path,
        images=reader.images(),
        categories=categories,
        rest={name: value for name, value in rest.items() if name not in LISTS},
        cases=tuple(reader.cases),
    )


@dataclass
class _Reader:
    """Lists under way."""

    cases: list[Case] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LISTS, 0))
    places: dict[ImageId, Place] = field(default_factory=dict)
    names: dict[str, ImageId] = field(default_factory=dict)
    annotations: dict[ImageId, tuple[str, Place]] = field(default_factory=dict)
    dropped: set[ImageId] = field(default_factory=set)
    """Images that have a photo of another one."""

    def image(self, value: object, place: Place) -> None:
        found = self._entry("images", value, "id")
        if found is None:
            return
        number, name = found
        if number in self.places or number in self.dropped:
            self._add(Rule.IMAGE_ID, f"image {number!r}: is listed twice")
        elif self.names.setdefault(name, number) != number:
            self.dropped.add(number)
            first = self.names[name]
            self._add(Rule.IMAGE_NAME, f"image {number!r}: {name!r} is image {first!r} already")
        else:
            self.places[number] = place

    def annotation(self, value: object, place: Place) -> None:
        found = self._entry("annotations", value, "image_id")
        if found is None:
            return
        number, name = found
        if number in self.annotations:
            self._add(Rule.ANNOTATED_TWICE, f"image {number!r}: has two annotations")
        self.annotations[number] = name, place

    def images(self) -> tuple[ListedImage, ...]:
        owners: dict[str, ImageId] = {}
        shared: set[ImageId] = set()
        for number, (name, _) in self.annotations.items():
            if number in self.dropped:
                continue
            if number not in self.places:
                self._add(Rule.UNLISTED, f"image {number!r}: has an annotation, but is not listed")
            elif owners.setdefault(name, number) != number:
                shared.add(number)
                text = f"image {number!r}: {name!r} is the map of image {owners[name]!r} already"
                self._add(Rule.PNG_SHARED, text)
        return tuple(
            ListedImage(
                image_id=number,
                image=place,
                annotation=self.annotations[number][1] if number in self.annotations else None,
            )
            for number, place in self.places.items()
            if number not in shared
        )

    def _entry(self, name: str, value: object, key: str) -> tuple[ImageId, str] | None:
        """Give the number and the file of an entry."""
        position = self.counts[name]
        self.counts[name] += 1
        try:
            entry = json_fields.entry(value)
            return json_fields.identity(entry, key), json_fields.text(entry, "file_name")
        except ValueError as error:
            self._add(Rule.ENTRY, f"{name}[{position}]: {error}")
            return None

    def _add(self, rule: Rule, sentence: str) -> None:
        self.cases.append(Case(rule, sentence))


@dataclass
class _Categories:
    """Categories under way."""

    cases: list[Case]
    found: dict[CategoryId, ListedCategory] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    colors: dict[tuple[int, int, int], str] = field(default_factory=dict)
    uncolored: list[str] = field(default_factory=list)

    def take(self, position: int, value: object) -> None:
        try:
            entry = dict(json_fields.entry(value))
            (category,) = category_entries.parse([{**entry, "isthing": 1}])
        except ValueError as error:
            text = str(error).removeprefix("categories[0]: ")
            self.cases.append(Case(Rule.ENTRY, f"categories[{position}]: {text}"))
            return
        place = f"category {category.id!r}"
        if category.id in self.found:
            self.cases.append(Case(Rule.CATEGORY_ID, f"{place}: is listed twice"))
            return
        if category.name in self.names:
            entry["name"] = f"{category.name} {category.id}"
            self.cases.append(Case(Rule.CATEGORY_NAME, f"{place}: is {category.name!r} too"))
        self.names.add(category.name)
        if category.color is None:
            self.uncolored.append(category.name)
        elif category.color in self.colors:
            del entry["color"]
            text = f"{place}: has the color of {self.colors[category.color]!r}"
            self.cases.append(Case(Rule.COLOR_SHARED, text))
        else:
            self.colors[category.color] = category.name
        isthing = _kind(entry, place, self.cases)
        self.found[category.id] = ListedCategory(entry=entry, isthing=isthing)


def categories_of(values: Sequence[object], cases: list[Case]) -> dict[CategoryId, ListedCategory]:
    """Read the entries of categories, and add what is wrong with them to `cases`."""
    reader = _Categories(cases)
    for position, value in enumerate(values):
        reader.take(position, value)
    if reader.uncolored:
        text = f"{len(reader.uncolored)} of {len(values)} categories have no color, such as"
        cases.append(Case(Rule.COLOR_MISSING, f"{text} {reader.uncolored[0]!r}"))
    if len(reader.found) > IGNORE:
        cases.append(Case(Rule.CATEGORY_COUNT, f"there are {len(reader.found)} categories"))
    return reader.found


def _kind(entry: Entry, place: str, cases: list[Case]) -> bool | None:
    try:
        return json_fields.flag(entry, "isthing")
    except ValueError as error:
        cases.append(Case(Rule.CATEGORY_KIND, f"{place}: {error}"))
        return None
