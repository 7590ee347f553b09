"""Categories as entries of COCO's JSON files."""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from jsisnet.categories import Categories, Category, CategoryId
from jsisnet.files import json_fields, json_stream
from jsisnet.files.json_stream import ByteRange
from jsisnet.files.oddities import Oddities

Color = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

_T = TypeVar("_T")
_HEX = re.compile(r"#?(?:([0-9a-f]{6})|([0-9a-f]{3}))", re.ASCII | re.IGNORECASE)
"""Six hexadecimal digits, or three that are each doubled."""


def read(path: Path) -> Categories:
    """Read the categories that a COCO file lists.

    Raises:
        ValueError: If the file is missing or an entry is invalid; the message names the file.
    """
    content = json_stream.load_without(path, ("images", "annotations"))
    try:
        return parse(json_fields.items(content, "categories"), path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def parse(values: list[object], path: Path | None = None) -> Categories:
    """Parse the entries of categories; merged ones also list their ``members``.

    Args:
        values: The entries. A colour or supercategory that can't be read is ignored.
        path: COCO file that they are from; a warning names it. Of categories that share a name,
            those that none of its annotations uses are left out.

    Raises:
        ValueError: If an entry is invalid; the message names the category.
    """
    oddities = Oddities()
    read_one = partial(parse_one, oddities=oddities)
    categories = json_fields.each({"categories": values}, "categories", read_one)
    if path is None:
        return Categories(categories)
    twins = unused_twins(categories, path)
    for category in categories:
        if category.id in twins:
            text = f"category {category.id!r} is {category.name!r}, as is {twins[category.id]!r}"
            oddities.add("left out an unused category that repeats a name", text)
    oddities.log(path)
    return Categories(tuple(category for category in categories if category.id not in twins))


def unused_twins(categories: Sequence[Category], path: Path) -> dict[CategoryId, CategoryId]:
    """Find categories with the name of another one that none of the annotations uses.

    Args:
        categories: The categories, whose ids may repeat.
        path: COCO file that they are from.

    Returns:
        Their ids, each with that of the category that remains.

    Raises:
        ValueError: If the file can't be read.
    """
    if len({category.name for category in categories}) == len(categories):
        return {}
    used = _used_categories(path)
    # Tools that add a root category put it first, so the last one remains if none is used.
    remaining = {c.name: c.id for c in categories} | {
        c.name: c.id for c in categories if c.id in used
    }
    return {
        category.id: remaining[category.name]
        for category in categories
        if category.id not in used and category.id != remaining[category.name]
    }


def _used_categories(path: Path) -> set[CategoryId]:
    """Return the ids of the categories that the annotations of a file use; invalid ones don't."""
    used: set[CategoryId] = set()

    def note(value: object, _: ByteRange) -> None:
        with suppress(ValueError):
            values = json_fields.entry(value)
            segments = [value]
            if json_fields.has(values, "segments_info"):
                segments = json_fields.items(values, "segments_info")
            for segment in map(json_fields.entry, segments):
                used.add(json_fields.identity(segment, "category_id"))

    json_stream.scan(path, {"images": lambda *_: None, "annotations": note})
    return used


def entries(categories: Categories) -> list[dict[str, object]]:
    """Return the entries that `parse` reads."""
    return [_entry(category) for category in categories]


def refuse_other_names(content: json_fields.Entry, known: Categories) -> None:
    """Check that the categories of a file have the names of the known ones with the same ids.

    Raises:
        ValueError: If a name differs.
    """
    if json_fields.has(content, "categories"):
        json_fields.each(content, "categories", partial(_refuse_other_name, known))


def _refuse_other_name(known: Categories, values: json_fields.Entry) -> None:
    number = json_fields.identity(values, "id")
    if number in known and json_fields.has(values, "name"):
        name, expected = json_fields.string(values, "name"), known[known.label(number)].name
        if name != expected:
            raise ValueError(f"category {number!r} is {name!r}; expected {expected!r}")


def parse_one(values: json_fields.Entry, oddities: Oddities) -> Category:
    """Parse the entry of a category.

    Args:
        values: The entry.
        oddities: Receives a colour or supercategory that can't be read.

    Raises:
        ValueError: If the entry is invalid; the message names the category.
    """
    number = json_fields.identity(values, "id")
    try:
        return Category(
            id=number,
            name=json_fields.string(values, "name"),
            isthing=json_fields.flag(values, "isthing"),
            color=_decoration(values, "color", _color, oddities),
            supercategory=_decoration(values, "supercategory", json_fields.string, oddities),
            members=json_fields.strings(values, "members")
            if json_fields.has(values, "members")
            else (),
        )
    except ValueError as error:
        raise ValueError(f"category {number!r}: {error}") from None


def _decoration(
    values: json_fields.Entry,
    key: str,
    read_field: Callable[[json_fields.Entry, str], _T],
    oddities: Oddities,
) -> _T | None:
    """Return a field that nothing depends on, or ``None`` if it is missing or can't be read."""
    if not json_fields.has(values, key):
        return None
    try:
        return read_field(values, key)
    except ValueError as error:
        oddities.add(f"ignored an unreadable {key!r}", f"category {values['id']!r}: {error}")
        return None


def _color(values: json_fields.Entry, key: str) -> Color:
    """Return a colour that is a list of red, green and blue, or a string such as ``#ff0000``."""
    found = values[key]
    if isinstance(found, str):
        return _hex_color(found)
    channels = json_fields.items(values, key)
    names = ("red", "green", "blue")
    if len(channels) != len(names):
        raise ValueError(f"{key!r} has {len(channels)} numbers; expected red, green and blue")
    by_name = dict(zip(names, channels, strict=True))
    red, green, blue = (json_fields.integer(by_name, name, highest=255) for name in names)
    return red, green, blue


def _hex_color(text: str) -> Color:
    found = _HEX.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"'color' is {text[:20]!r}; expected red, green and blue, or '#rrggbb'")
    digits = found[1] if found[1] is not None else "".join(2 * digit for digit in found[2])
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue


def _entry(category: Category) -> dict[str, object]:
    values: dict[str, object] = {
        "id": category.id,
        "name": category.name,
        "isthing": int(category.isthing),
    }
    if category.supercategory is not None:
        values["supercategory"] = category.supercategory
    if category.color is not None:
        values["color"] = list(category.color)
    if category.members:
        values["members"] = list(category.members)
    return values
