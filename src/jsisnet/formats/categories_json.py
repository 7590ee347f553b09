"""Categories as entries of COCO's JSON files."""

from functools import partial
from pathlib import Path

from jsisnet.categories import Categories, Category
from jsisnet.files import json_fields, json_stream


def read(path: Path) -> Categories:
    """Read the categories that a COCO file lists.

    Raises:
        ValueError: If the file is missing or an entry is invalid; the message names the file.
    """
    content = json_stream.load_without(path, ("images", "annotations"))
    try:
        return parse(json_fields.items(content, "categories"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def parse(values: list[object]) -> Categories:
    """Parse the entries of categories; merged ones also list their ``members``.

    Raises:
        ValueError: If an entry is invalid; the message names the category.
    """
    return Categories(json_fields.each({"categories": values}, "categories", _category))


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


def _category(values: json_fields.Entry) -> Category:
    number = json_fields.identity(values, "id")
    try:
        group = (
            json_fields.string(values, "supercategory")
            if json_fields.has(values, "supercategory")
            else None
        )
        return Category(
            id=number,
            name=json_fields.string(values, "name"),
            isthing=json_fields.flag(values, "isthing"),
            color=_color(json_fields.items(values, "color"))
            if json_fields.has(values, "color")
            else None,
            supercategory=group,
            members=json_fields.strings(values, "members")
            if json_fields.has(values, "members")
            else (),
        )
    except ValueError as error:
        raise ValueError(f"category {number!r}: {error}") from None


def _color(channels: list[object]) -> tuple[int, int, int]:
    names = ("red", "green", "blue")
    if len(channels) != len(names):
        raise ValueError(f"'color' has {len(channels)} numbers; expected red, green and blue")
    values = dict(zip(names, channels, strict=True))
    red, green, blue = (json_fields.integer(values, name, highest=255) for name in names)
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
