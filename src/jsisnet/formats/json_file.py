"""JSON files with long lists, written item by item."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from jsisnet.files.atomic import replacing
from jsisnet.files.json_fields import Entry


def write(path: Path, values: Entry, lists: Mapping[str, Iterable[Entry]]) -> None:
    """Write an object; memory does not grow with its lists.

    Args:
        path: The file, which appears complete or not at all.
        values: The fields that come first.
        lists: Lists of objects, by the names of their fields.
    """
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        separator = "{"
        for name, value in values.items():
            file.write(f"{separator}{json.dumps(name)}: {json.dumps(value)}")
            separator = ",\n"
        for name, entries in lists.items():
            file.write(f"{separator}{json.dumps(name)}: [")
            file.writelines(_lines(entries))
            file.write("\n]")
            separator = ",\n"
        file.write("}\n")


def _lines(entries: Iterable[Entry]) -> Iterator[str]:
    separator = "\n"
    for entry in entries:
        yield separator + json.dumps(entry)
        separator = ",\n"
