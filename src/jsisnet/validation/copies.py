"""Repaired copies of data sets in COCO panoptic format."""

from collections.abc import Iterable
from pathlib import Path

from jsisnet.datatools.check.image import Examined
from jsisnet.datatools.check.listing import Listing
from jsisnet.datatools.check.rules import Case
from jsisnet.files.atomic import replacing
from jsisnet.formats import json_file

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
    lists = {
        "images": (result.image for result in results if result.image is not None),
        "annotations": (result.annotation for result in results if result.annotation is not None),
    }
    json_file.write(out / listing.path.name, {**listing.rest, **fields}, lists)
    with replacing(out / CHANGES) as temporary, temporary.open("w", encoding="utf-8") as file:
        for case in cases:
            if case.rule.repair is not None:
                file.write(f"{case.rule.title}: {case.sentence}: {case.rule.repair}\n")
