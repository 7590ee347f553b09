"""Lenient reader of the lists in a COCO panoptic file, which collects all violations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jsisnet.categories import Category, CategoryId
from jsisnet.datatools.check.rules import Rule, Violation
from jsisnet.files import json_fields
from jsisnet.files.json_fields import Entry
from jsisnet.files.json_stream import ByteRange, scan
from jsisnet.files.oddities import Oddities
from jsisnet.formats import categories_json as category_entries
from jsisnet.formats.categories_json import unused_twins
from jsisnet.panoptic import MAX_LABELS, ImageId

LISTS = ("images", "annotations", "categories")
"""Required lists of a file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedImage:
    """An image, and where its entries are in the file."""

    image_id: ImageId
    """Unique id of the image."""

    image: ByteRange
    """Its entry in ``images``."""

    annotation: ByteRange | None
    """Its last entry in ``annotations``; ``None`` if it has none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedCategory:
    """A category as a repaired copy lists it."""

    entry: Entry
    """Entry with a unique name, and a unique colour or none."""

    isthing: bool | None
    """``None`` if the file does not say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CocoListing:
    """The usable images and categories of a COCO panoptic file."""

    path: Path
    """The file."""

    images: tuple[ListedImage, ...]
    """Images in the order of the file."""

    categories: Mapping[CategoryId, ListedCategory]
    """Categories by id, in the order of the file."""

    rest: Entry
    """The other top-level fields of the file."""

    violations: tuple[Violation, ...]
    """What is wrong with the lists; after `Rule.JSON` nothing is listed."""


def read_listing(path: Path) -> CocoListing:
    """Read the lists of a file, keeping only the position of each entry in memory."""
    reader = _ListReader()
    try:
        rest = scan(path, {"images": reader.add_image, "annotations": reader.add_annotation})
        lists = {name: json_fields.items(rest, name) for name in LISTS}
    except ValueError as error:
        violation = Violation(Rule.JSON, str(error).removeprefix(f"{path}: "))
        return CocoListing(path=path, images=(), categories={}, rest={}, violations=(violation,))
    categories = check_categories(lists["categories"], reader.violations, path)
    return CocoListing(
        path=path,
        images=reader.images(),
        categories=categories,
        rest={name: value for name, value in rest.items() if name not in LISTS},
        violations=tuple(reader.violations),
    )


def check_categories(
    values: Sequence[object], violations: list[Violation], path: Path | None = None
) -> dict[CategoryId, ListedCategory]:
    """Read category entries and append what is wrong with them to `violations`.

    Args:
        values: The entries.
        violations: Receives what is wrong.
        path: COCO file of the entries, if it is still to be seen which categories it uses.
    """
    reader = _CategoryReader(violations)
    parsed = list(filter(None, map(reader.parse, range(len(values)), values)))
    twins = {} if path is None else unused_twins([category for category, _ in parsed], path)
    for category, entry in parsed:
        if category.id in twins:
            text = f"category {category.id!r}: {category.name!r} is also category"
            violations.append(Violation(Rule.CATEGORY_SPARE, f"{text} {twins[category.id]!r}"))
        else:
            reader.add(category, entry)
    if reader.uncolored:
        text = f"{len(reader.uncolored)} of {len(values)} categories have no color, such as"
        violations.append(Violation(Rule.COLOR_MISSING, f"{text} {reader.uncolored[0]!r}"))
    if len(reader.found) > MAX_LABELS:
        text = f"there are {len(reader.found)} categories"
        violations.append(Violation(Rule.CATEGORY_COUNT, text))
    return reader.found


@dataclass
class _ListReader:
    """Collects images and annotations while a file is scanned."""

    violations: list[Violation] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LISTS, 0))
    byte_ranges: dict[ImageId, ByteRange] = field(default_factory=dict)
    names: dict[str, ImageId] = field(default_factory=dict)
    annotations: dict[ImageId, tuple[str, ByteRange]] = field(default_factory=dict)
    dropped: set[ImageId] = field(default_factory=set)
    """Images whose photo another image uses already."""

    def add_image(self, value: object, byte_range: ByteRange) -> None:
        parsed = self._parse("images", value, "id")
        if parsed is None:
            return
        image_id, name = parsed
        if image_id in self.byte_ranges or image_id in self.dropped:
            self._add(Rule.IMAGE_ID, f"image {image_id!r}: listed twice")
        elif self.names.setdefault(name, image_id) != image_id:
            self.dropped.add(image_id)
            first = self.names[name]
            text = f"image {image_id!r}: {name!r} is already the photo of image {first!r}"
            self._add(Rule.IMAGE_NAME, text)
        else:
            self.byte_ranges[image_id] = byte_range

    def add_annotation(self, value: object, byte_range: ByteRange) -> None:
        parsed = self._parse("annotations", value, "image_id")
        if parsed is None:
            return
        image_id, name = parsed
        if image_id in self.annotations:
            self._add(Rule.ANNOTATED_TWICE, f"image {image_id!r}: two annotations")
        self.annotations[image_id] = name, byte_range

    def images(self) -> tuple[ListedImage, ...]:
        owners: dict[str, ImageId] = {}
        shared: set[ImageId] = set()
        self._unify_types()
        for image_id, (name, _) in self.annotations.items():
            if image_id in self.dropped:
                continue
            if image_id not in self.byte_ranges:
                self._add(Rule.UNLISTED, f"image {image_id!r}: annotated, but not listed")
            elif owners.setdefault(name, image_id) != image_id:
                shared.add(image_id)
                first = owners[name]
                text = f"image {image_id!r}: {name!r} is already the map of image {first!r}"
                self._add(Rule.PNG_SHARED, text)
        return tuple(
            ListedImage(
                image_id=image_id,
                image=byte_range,
                annotation=self.annotations[image_id][1] if image_id in self.annotations else None,
            )
            for image_id, byte_range in self.byte_ranges.items()
            if image_id not in shared
        )

    def _unify_types(self) -> None:
        """Give annotations whose image is listed with a number, or a string, instead its id."""
        free = self.byte_ranges.keys() - self.annotations.keys()
        for image_id in [each for each in self.annotations if each not in self.byte_ranges]:
            known = json_fields.twin(image_id, free)
            if known is not None:
                self.annotations[known] = self.annotations.pop(image_id)
                shown = json_fields.shown(image_id), json_fields.shown(known)
                text = f"image {known!r}: 'image_id' is {shown[0]}; expected {shown[1]}"
                self._add(Rule.QUOTES, text)

    def _parse(self, name: str, value: object, key: str) -> tuple[ImageId, str] | None:
        """Return the image id and file name of an entry, or ``None`` if it lacks one."""
        position = self.counts[name]
        self.counts[name] += 1
        try:
            entry = json_fields.entry(value)
            return json_fields.identity(entry, key), json_fields.string(entry, "file_name")
        except ValueError as error:
            self._add(Rule.ENTRY, f"{name}[{position}]: {error}")
            return None

    def _add(self, rule: Rule, message: str) -> None:
        self.violations.append(Violation(rule, message))


@dataclass
class _CategoryReader:
    """Collects categories, one entry at a time."""

    violations: list[Violation]
    found: dict[CategoryId, ListedCategory] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    """Names so far."""
    alike: dict[str, str] = field(default_factory=dict)
    """First of the names that differ in case and outer spaces only."""
    colors: dict[tuple[int, int, int], str] = field(default_factory=dict)
    uncolored: list[str] = field(default_factory=list)

    def parse(self, position: int, value: object) -> tuple[Category, dict[str, object]] | None:
        """Read an entry, and leave out decorating fields that can't be read."""
        oddities = Oddities()
        try:
            entry = dict(json_fields.entry(value))
            isthing = json_fields.unquoted(entry.get("isthing"))
            category = category_entries.parse_one({**entry, "isthing": 1}, oddities)
        except ValueError as error:
            self._add(Rule.ENTRY, f"categories[{position}]: {error}")
            return None
        if isthing != entry.get("isthing"):
            entry["isthing"] = isthing
            self._add(Rule.QUOTES, f"category {category.id!r}: 'isthing' is \"{isthing}\"")
        for key, found in (("color", category.color), ("supercategory", category.supercategory)):
            if found is None:
                entry.pop(key, None)
        for message in oddities.examples.values():
            self._add(Rule.CATEGORY_FIELD, message)
        return category, entry

    def add(self, category: Category, entry: dict[str, object]) -> None:
        """Add a category with its entry, which may be changed."""
        prefix = f"category {category.id!r}"
        if category.id in self.found:
            self._add(Rule.CATEGORY_ID, f"{prefix}: listed twice")
            return
        self._check_name(category, entry, prefix)
        if category.color is None:
            self.uncolored.append(category.name)
        elif category.color in self.colors:
            del entry["color"]
            text = f"{prefix}: same color as {self.colors[category.color]!r}"
            self._add(Rule.COLOR_SHARED, text)
        else:
            self.colors[category.color] = category.name
        isthing = self._isthing(entry, prefix)
        self.found[category.id] = ListedCategory(entry=entry, isthing=isthing)

    def _check_name(self, category: Category, entry: dict[str, object], prefix: str) -> None:
        other = self.alike.setdefault(category.name.strip().casefold(), category.name)
        if category.name in self.names:
            entry["name"] = f"{category.name} {category.id}"
            self._add(Rule.CATEGORY_NAME, f"{prefix}: duplicate name {category.name!r}")
        elif other != category.name:
            self._add(Rule.CATEGORY_ALIKE, f"{prefix}: {category.name!r} and {other!r}")
        self.names.add(category.name)

    def _isthing(self, entry: Entry, prefix: str) -> bool | None:
        try:
            return json_fields.flag(entry, "isthing")
        except ValueError as error:
            self._add(Rule.CATEGORY_KIND, f"{prefix}: {error}")
            return None

    def _add(self, rule: Rule, message: str) -> None:
        self.violations.append(Violation(rule, message))
