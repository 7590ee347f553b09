"""Whether the success of a command on a damaged file is right, by independent readers."""

import contextlib
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import hotcoco.panoptic
import numpy as np
import yaml
from PIL import Image

from reliability import trees

_GROUPS = {"all": "All", "things": "Things", "stuff": "Stuff"}
_CLOSE = 1e-6
"""Most difference of two values of panoptic quality, in percent."""


@dataclass(frozen=True)
class Content:
    """What an independent reader finds in a file: something to compare, and a clean file of it."""

    value: object
    clean: bytes


def content(path: Path) -> Content:
    """Read a file independently.

    Raises:
        Exception: What the library raises if the file is damaged.
    """
    if not path.is_file():
        raise ValueError("not a file")
    if path.resolve().parts[1] == "dev":
        raise ValueError("a device")
    return _READERS[path.suffix](path.read_bytes())


def same(one: Content, other: Content) -> bool:
    """Return whether two files say the same."""
    return one.clean == other.clean


def panoptic_quality(room: Path) -> str:
    """Compare the panoptic quality in ``out/a.json`` with that of hotcoco."""
    files = ("in/val/predictions.json", "in/other/predictions.json")
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.chdir(room):
            theirs = hotcoco.panoptic.pq_compute(*files, "in/val", "in/other")
    except Exception:  # it wants colours of three numbers, for example
        return ""
    ours = json.loads((room / "out/a.json").read_text())
    for group, name in _GROUPS.items():
        for key in ("pq", "sq", "rq"):
            value, expected = ours[group][key], 100 * theirs[name][key]
            if abs((value or 0) - expected) > _CLOSE:
                return f"{key} of {group} is {value}, by hotcoco {expected}"
    return ""


JUDGES: dict[str, Callable[[Path], str]] = {"score": panoptic_quality}
"""Further judges of some targets: they return what is wrong, or nothing."""


def _json(data: bytes) -> Content:
    value = trees.strict_json(data, constants=True)
    return Content(value, json.dumps(value).encode())


def _lines(data: bytes) -> Content:
    # A log grows by its last line, which may be cut.
    lines = data.split(b"\n")[:-1]
    values = [trees.strict_json(line, constants=True) for line in lines]
    return Content(values, b"".join(json.dumps(value).encode() + b"\n" for value in values))


def _picture(data: bytes) -> Content:
    pixels = trees.picture(data)
    written = io.BytesIO()
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        image.save(written, "PNG")
    return Content(pixels, written.getvalue())


def _zip(data: bytes) -> Content:
    members = trees.zipped(data)
    unsafe = [name for name in members if name.startswith("/") or ".." in Path(name).parts]
    trees.refuse(bool(unsafe), f"unsafe names: {unsafe}")
    clean = {name: _member(name, data) for name, data in sorted(members.items())}
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, member in clean.items():
            archive.writestr(zipfile.ZipInfo(name), member)
    return Content(clean, written.getvalue())


def _member(name: str, data: bytes) -> bytes:
    reader = _READERS.get(Path(name).suffix)
    return data if reader is None else reader(data).clean


def _arrays(data: bytes) -> Content:
    trees.zipped(data)
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        arrays = {name: file[name] for name in sorted(file)}
    written = io.BytesIO()
    np.savez(written, **arrays)
    return Content(arrays, written.getvalue())


class _Loader(yaml.SafeLoader):
    """Loader that refuses a key that occurs twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        """Return a mapping."""
        keys = [key.value for key, _ in node.value if isinstance(key.value, str)]
        trees.refuse(len(keys) != len(set(keys)), "a key occurs twice")
        return super().construct_mapping(node, deep)


def _yaml(data: bytes) -> Content:
    value = yaml.load(data, _Loader)
    return Content(value, yaml.safe_dump(value).encode())


_READERS: dict[str, Callable[[bytes], Content]] = {
    ".json": _json,
    ".jsonl": _lines,
    **dict.fromkeys((".png", ".jpg", ".webp", ".tif", ".bmp", ".gif"), _picture),
    ".zip": _zip,
    ".npz": _arrays,
    ".yaml": _yaml,
}
"""Independent readers, by suffix."""
