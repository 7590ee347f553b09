"""Repaired copies of data sets in COCO panoptic format."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from jsisnet.formats.fields import Entry
from jsisnet.formats.files import replacing
from jsisnet.validation.examine import Examined
from jsisnet.validation.listing import Listing
from jsisnet.validation.rules import Case

CHANGES = "changes.txt"
"""Name of the file that lists what was changed: a line for each case."""


def write_copy(
    out: Path, listing: Listing, results: Iterable[Examined], cases: Iterable[Case]
) -> None:
    """Write the JSON file of a copy whose maps exist already, and the list of what was changed.

    Args:
        out: Folder of the copy.
        listing: What the original lists.
        results: Its images; gone through several times.
        cases: All that is wrong with the original.
    """
    fields = {"categories": [category.entry for category in listing.categories.values()]}
    with replacing(out / listing.path.name) as temporary, temporary.open("w") as file:
        file.write("{")
        for name, value in {**listing.rest, **fields}.items():
            file.write(f"{json.dumps(name)}: {json.dumps(value)},\n")
        file.writelines(_list("images", (result.image for result in results)))
        file.write(",\n")
        file.writelines(_list("annotations", (result.annotation for result in results)))
        file.write("}\n")
    with replacing(out / CHANGES) as temporary, temporary.open("w", encoding="utf-8") as file:
        for case in cases:
            if case.rule.repair is not None:
                file.write(f"{case.rule.title}: {case.sentence}: {case.rule.repair}\n")


def _list(name: str, entries: Iterable[Entry | None]) -> Iterator[str]:
    yield f'"{name}": ['
    separator = "\n"
    for entry in entries:
        if entry is not None:
            yield separator + json.dumps(entry)
            separator = ",\n"
    yield "\n]"
