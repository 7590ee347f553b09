"""Which files an archive for COCO's panoptic challenge holds, and where."""

import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipInfo

from jsisnet.files import json_fields
from jsisnet.formats.submission_rules import MAX_EXAMPLES, Findings, Rule

_TITLE = re.compile(r"panoptic_.+_.+_results")
_NAMES = "panoptic_SPLIT_NAME_results.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Where an archive has what."""

    json: ZipInfo
    """The JSON file."""

    pngs: dict[str, ZipInfo]
    """By their paths inside the folder that is named like the JSON file."""


def read_layout(entries: Iterable[ZipInfo], findings: Findings) -> Layout | None:
    """Sort the files of an archive.

    Args:
        entries: The archive's directory.
        findings: Is told of every file that is out of place.

    Returns:
        Nothing if it isn't clear which one is the JSON file.
    """
    files = _files(entries, findings)
    tops = [name for name in files if "/" not in name and name.endswith(".json")]
    if len(tops) != 1:
        found = ", ".join(map(repr, tops[:MAX_EXAMPLES])) or "none"
        findings.add(Rule.LAYOUT, f"expected one JSON file outside any folder, found {found}")
        return None
    title = tops[0].removesuffix(".json")
    if not _TITLE.fullmatch(title):
        findings.add(Rule.NAMES, f"the JSON file is called {tops[0]!r}, expected {_NAMES}")
    layout = Layout(json=files.pop(tops[0]), pngs={})
    for name, entry in files.items():
        if name.startswith(f"{title}/") and name.endswith(".png"):
            layout.pngs[name.removeprefix(f"{title}/")] = entry
        else:
            findings.add(Rule.LAYOUT, f"{name!r} is no PNG in the folder {title!r}")
    return layout


def _files(entries: Iterable[ZipInfo], findings: Findings) -> dict[str, ZipInfo]:
    files: dict[str, ZipInfo] = {}
    for entry in entries:
        # The name that zipfile gives out is shortened and mended.
        name = entry.orig_filename
        if _escapes(name) or stat.S_ISLNK(entry.external_attr >> 16):
            findings.add(Rule.PATHS, f"{name!r} is no file inside the archive")
        elif name in files:
            findings.add(Rule.PATHS, f"{name!r} is there twice")
        elif not entry.is_dir():
            files[name] = entry
    return files


def _escapes(name: str) -> bool:
    try:
        json_fields.path_in(Path(), {"name": name}, "name")
    except ValueError:
        return True
    return False
