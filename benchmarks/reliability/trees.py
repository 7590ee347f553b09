"""Folders as bytes, and independent readers that tell a whole file from a half-written one."""

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterable
from fnmatch import fnmatch
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import yaml
from PIL import Image

Tree = dict[str, bytes | None]
"""Content of the files below a folder by relative path; ``None`` for folders."""

_LENGTH = 8
"""Bytes of the number that a safetensors file begins with."""


def read(folder: Path) -> Tree:
    """Read all files below a folder; a missing folder is empty."""
    return {
        path.relative_to(folder).as_posix(): None if path.is_dir() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


def differences(expected: Tree, found: Tree, exempt: Iterable[str] = ()) -> list[str]:
    """Describe how a tree differs from another one.

    Args:
        expected: The tree of a run without a kill.
        found: The tree to compare.
        exempt: Patterns of files whose bytes may differ; they must exist all the same.
    """
    free = set(matching(expected, exempt))
    lost = [f"lost: {name}" for name in expected if name not in found]
    left = [f"left over: {name}" for name in found if name not in expected]
    changed = [
        f"differs: {name}"
        for name, content in expected.items()
        if name in found and found[name] != content and name not in free
    ]
    return lost + left + changed


def matching(tree: Tree, patterns: Iterable[str]) -> list[str]:
    """Return the names of a tree that match a pattern."""
    patterns = tuple(patterns)
    return [name for name in tree if any(fnmatch(name, pattern) for pattern in patterns)]


def decoded(tree: Tree) -> Tree:
    """Replace PNGs, which some commands copy as they are, by their pixels, in zips, too."""
    found: Tree = {}
    for name, content in tree.items():
        if content and name.endswith(".png"):
            found[name] = picture(content).tobytes()
        elif content and name.endswith(".zip"):
            members = decoded(dict(zipped(content)))
            found |= {f"{name}/{member}": data for member, data in members.items()}
        else:
            found[name] = content
    return found


def is_hidden(name: str) -> bool:
    """Return whether a file, or a folder that it is in, has a name that begins with a dot."""
    return any(part.startswith(".") for part in Path(name).parts)


def half_written(tree: Tree) -> list[str]:
    """Name the visible files that an independent reader refuses, with its reason."""
    found = []
    for name, content in tree.items():
        if content is None or is_hidden(name):
            continue
        try:
            READERS.get(Path(name).suffix, _text)(content)
        except Exception as error:  # each library refuses in its own way
            found.append(f"half-written: {name} ({type(error).__name__}: {error})"[:200])
    return found


def refuse(condition: bool, reason: str) -> None:
    """Raise an error if a file is not as it should be."""
    if condition:
        raise ValueError(reason)


def strict_json(content: bytes, *, constants: bool = False) -> object:
    """Read JSON of UTF-8 without repeated keys.

    Args:
        content: The file.
        constants: Whether NaN and Infinity, which Python writes but JSON lacks, are numbers.
    """
    return json.loads(
        content.decode("utf-8-sig"),
        object_pairs_hook=_unique,
        parse_constant=None if constants else _no_constant,
    )


def picture(content: bytes) -> np.ndarray:
    """Decode an image with Pillow, all of it."""
    with Image.open(io.BytesIO(content)) as image:
        image.verify()
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        return np.array(image)


def zipped(content: bytes) -> dict[str, bytes]:
    """Read all members of a zip and check their sums."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        broken = archive.testzip()
        refuse(broken is not None, f"{broken}: wrong check sum")
        names = [name for name in archive.namelist() if not name.endswith("/")]
        refuse(len(names) != len(set(names)), "two members of one name")
        return {name: archive.read(name) for name in names}


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = [name for name, _ in pairs]
    refuse(len(names) != len(set(names)), "a key occurs twice")
    return dict(pairs)


def _no_constant(name: str) -> None:
    refuse(True, f"{name} is no number of JSON")


def _json_lines(content: bytes) -> None:
    # A log grows by its last line, which may be cut; those before it must be whole.
    for line in content.decode().split("\n")[:-1]:
        json.loads(line)


def _arrays(content: bytes) -> None:
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        for name in arrays:
            arrays[name]


def _table(content: bytes) -> None:
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))
    refuse(len({len(row) for row in rows}) != 1, "rows of different lengths")
    _text(content)


def _page(content: bytes) -> None:
    refuse(not content.rstrip().endswith(b"</html>"), "no end")


def _settings(content: bytes) -> None:
    yaml.safe_load(content)
    _text(content)


def _text(content: bytes) -> None:
    refuse(content[-1:] != b"\n", "no end of line at the end")


def _weights(content: bytes) -> None:
    length = int.from_bytes(content[:_LENGTH], "little")
    header = json.loads(content[_LENGTH : _LENGTH + length])
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    refuse(len(content) != _LENGTH + length + max(ends, default=0), "another size than its header")


def _network(content: bytes) -> None:
    import onnx  # noqa: PLC0415  # takes a second, and few trees hold a network

    onnx.load_model_from_string(content)


READERS: dict[str, Callable[[bytes], object]] = {
    ".json": strict_json,
    ".jsonl": _json_lines,
    ".png": picture,
    ".jpg": picture,
    ".zip": zipped,
    ".pt": zipped,
    ".npz": _arrays,
    ".csv": _table,
    ".html": _page,
    ".xml": ElementTree.fromstring,
    ".yaml": _settings,
    ".safetensors": _weights,
    ".onnx": _network,
}
"""Independent reader of each suffix; other files are lines of text."""
