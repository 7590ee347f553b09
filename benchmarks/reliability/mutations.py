"""Ways to damage a file: bytes, JSON, PNG, zip and YAML, and other things in its place.

Each takes the content and a source of random numbers, and returns the damaged content.
"""

import io
import json
import os
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

Mutation = Callable[[bytes, random.Random], bytes]

SIGNATURE = b"\x89PNG\r\n\x1a\n"

MEGABYTES = 1_000
"""Size of a member of a zip that holds zeros alone."""

HUGE = (0x7FFFFFFF, 178_956_970, 65_535, 30_000)
"""Sides of pictures that no memory holds, or just about."""


def flipped(content: bytes, draw: random.Random) -> bytes:
    """Flip a few bits."""
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 8, 40))):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def cut(content: bytes, draw: random.Random) -> bytes:
    """Cut the end off, often only a few bytes."""
    length = draw.choice((draw.randrange(len(content)), len(content) - draw.randint(1, 12)))
    return content[: max(length, 0)]


def removed(content: bytes, draw: random.Random) -> bytes:
    """Remove a run of bytes."""
    start = draw.randrange(len(content))
    return content[:start] + content[start + draw.choice((1, 2, 16, 200)) :]


def inserted(content: bytes, draw: random.Random) -> bytes:
    """Insert random bytes."""
    start = draw.randrange(len(content) + 1)
    return content[:start] + draw.randbytes(draw.choice((1, 4, 100))) + content[start:]


def repeated(content: bytes, draw: random.Random) -> bytes:
    """Repeat a part of the file."""
    start = draw.randrange(len(content))
    part = content[start : start + draw.choice((1, 20, 500))]
    return content[:start] + part * draw.choice((2, 3, 50)) + content[start + len(part) :]


def emptied(_: bytes, draw: random.Random) -> bytes:
    """Return nothing, or nearly so."""
    return draw.choice((b"", b"\0", b"\n", b"\0" * 4096, b"{}", b"[]", b"null", b"\xff\xfe"))


VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 2**31, 2**63, 10**400, 1e308, -0.0, 0.5, float("nan"), float("inf")),
    *("", "x", "../../escaped", "/etc/passwd", "\ud800", "a\0b", "\x1b[31m", "=1+1", "a" * 300),
    *([], {}, [[]], [None], {"id": 1}, [1, 2], "NaN", "1"),
)
"""Values that take another one's place."""


def swapped_value(content: bytes, draw: random.Random) -> bytes:
    """Replace a random value of a JSON document."""
    document = json.loads(content)
    owner, key = draw.choice(_places(document))
    owner[key] = draw.choice(VALUES)
    return json.dumps(document).encode()


def changed_number(content: bytes, draw: random.Random) -> bytes:
    """Change a number of a JSON document a little, so that it may stay valid."""
    document = json.loads(content)
    places = [
        (owner, key)
        for owner, key in _places(document)
        if isinstance(owner[key], int | float) and not isinstance(owner[key], bool)
    ]
    if not places:
        return b"[]"
    owner, key = draw.choice(places)
    owner[key] += draw.choice((-1, 1, 2, 7))
    return json.dumps(document).encode()


def removed_entry(content: bytes, draw: random.Random) -> bytes:
    """Remove a key or an element of a JSON document."""
    document = json.loads(content)
    owner, key = draw.choice(_places(document))
    del owner[key]
    return json.dumps(document).encode()


def repeated_element(content: bytes, draw: random.Random) -> bytes:
    """Repeat an element of a list of a JSON document."""
    document = json.loads(content)
    places = [(owner, key) for owner, key in _places(document) if isinstance(owner, list)]
    if not places:
        return content + content
    owner, key = draw.choice(places)
    owner.insert(key, owner[key])
    return json.dumps(document).encode()


def second_key(content: bytes, draw: random.Random) -> bytes:
    """Add a key that is there already, with another value."""
    document = json.loads(content)
    if not isinstance(document, dict) or not document:
        return content + b"[]"
    key = draw.choice(sorted(document))
    value = draw.choice((b"[]", b"null", b"{}", b"1"))
    addition = json.dumps(key).encode() + b": " + value
    end = content.rstrip()
    if draw.random() < 0.5:  # noqa: PLR2004  # first or last
        return end[:-1] + b", " + addition + b"}"
    return b"{" + addition + b", " + end.partition(b"{")[2]


def nested(content: bytes, draw: random.Random) -> bytes:
    """Nest lists or objects deeply, alone or in place of a value."""
    depth = draw.choice((100, 5_000, 100_000))
    deep = b"[" * depth + b"]" * depth
    if draw.random() < 0.5:  # noqa: PLR2004  # alone or as a value
        return deep
    return b'{"annotations": ' + deep + b", " + content.partition(b"{")[2]


def encoded(content: bytes, draw: random.Random) -> bytes:
    """Write the text in another encoding, or with bytes that are none."""
    text = content.decode("utf-8", "replace")
    encoding = draw.choice(("utf-16", "utf-32", "utf-8-sig", "utf-16-le", "raw"))
    if encoding == "raw":
        return content.replace(b'"', b'"\xe9', 1)
    return text.encode(encoding)


def digits(content: bytes, draw: random.Random) -> bytes:
    """Put a number of thousands of digits in place of one."""
    number = draw.choice((b"9" * 5000, b"-" + b"1" * 5000, b"1e9999", b"0x10", b"1_000", b"01"))
    places = [at for at in range(len(content) - 1) if content[at : at + 2] == b": "]
    if not places:
        return number
    at = draw.choice(places) + 2
    end = at
    while end < len(content) and content[end : end + 1] not in b",}]\n":
        end += 1
    return content[:at] + number + content[end:]


def _places(document: Any) -> list[tuple[Any, Any]]:  # noqa: ANN401  # JSON
    """Return each list and object with each of its keys."""
    found, open_ones = [], [document]
    while open_ones:
        owner = open_ones.pop()
        keys = range(len(owner)) if isinstance(owner, list) else list(owner)
        for key in keys:
            found.append((owner, key))
            if isinstance(owner[key], list | dict):
                open_ones.append(owner[key])
    return found


def chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    """Split a PNG into its chunks."""
    found, at = [], len(SIGNATURE)
    while at + 8 <= len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        found.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def joined(parts: list[tuple[bytes, bytes]], *, checked: bool = True) -> bytes:
    """Make a PNG of chunks, with right check sums or with wrong ones."""
    written = SIGNATURE
    for kind, data in parts:
        total = zlib.crc32(kind + data) ^ (not checked)
        written += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", total)
    return written


def moved_chunk(content: bytes, draw: random.Random) -> bytes:
    """Drop, repeat or move a chunk of a PNG."""
    parts = chunks(content)
    at = draw.randrange(len(parts))
    how = draw.choice(("drop", "repeat", "move"))
    part = parts[at]
    if how != "repeat":
        parts.pop(at)
    if how != "drop":
        parts.insert(draw.randrange(len(parts) + 1), part)
    return joined(parts)


def wrong_sum(content: bytes, draw: random.Random) -> bytes:
    """Write wrong check sums into a PNG, or right ones for damaged data."""
    parts = chunks(content)
    at = draw.randrange(len(parts))
    kind, data = parts[at]
    if draw.random() < 0.5 or not data:  # noqa: PLR2004  # one kind or the other
        broken = joined(parts[: at + 1], checked=False)[len(joined(parts[:at])) :]
        return joined(parts[:at]) + broken + joined(parts[at + 1 :])[len(SIGNATURE) :]
    parts[at] = (kind, flipped(data, draw))
    return joined(parts)


def huge_header(content: bytes, draw: random.Random) -> bytes:
    """Let the header of a PNG say other numbers, often huge ones."""
    parts = chunks(content)
    width, height, *rest = struct.unpack(">IIBBBBB", parts[0][1])
    change = draw.choice(("size", "huge", "small", "kind"))
    if change == "size":
        width, height = draw.choice(HUGE), draw.choice(HUGE)
    elif change == "huge":
        width, height = draw.choice(((draw.choice(HUGE), height), (width, draw.choice(HUGE))))
    elif change == "small":
        width, height = draw.choice(((0, height), (width, 0), (width + 1, height), (height, width)))
    else:
        rest[draw.randrange(len(rest))] = draw.randrange(256)
    parts[0] = (b"IHDR", struct.pack(">IIBBBBB", width, height, *rest))
    return joined(parts)


def swollen(_: bytes, draw: random.Random) -> bytes:
    """Return a small PNG whose pixels fill gigabytes."""
    size = draw.choice(((14_000, 14_000), (178_956_970, 1), (1, 178_956_970)))
    kind, depth, bits = draw.choice(((2, 8, 24), (0, 8, 8), (0, 16, 16), (6, 8, 32)))
    return _zeros_png(size, (depth, kind, draw.choice((0, 0, 1))), bits)


@cache
def _zeros_png(size: tuple[int, int], form: tuple[int, int, int], bits: int) -> bytes:
    width, height = size
    depth, kind, interlaced = form
    rows = (width * bits // 8 + 1) * height
    packer = zlib.compressobj(9)
    piece = b"\0" * 2**20
    data = b"".join(packer.compress(piece) for _ in range(rows // len(piece)))
    data += packer.compress(b"\0" * (rows % len(piece))) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlaced)
    return joined([(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")])


def zip_names(content: bytes, draw: random.Random) -> bytes:
    """Give the members of a zip other names: outside the folder, absolute, twice, or links."""
    name = draw.choice(("../escaped.png", "/tmp/escaped.png", "a\\..\\..\\b.png", "link", "twice"))
    return _rezipped(content, draw, name)


def _rezipped(content: bytes, draw: random.Random, name: str) -> bytes:
    written = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as source,
        zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        members = source.infolist()
        chosen = draw.choice(members)
        for member in members:
            data = source.read(member)
            if member is not chosen:
                target.writestr(member, data)
            elif name == "link":
                member.external_attr = 0o120777 << 16
                target.writestr(member, "../../../etc/passwd")
            elif name == "twice":
                target.writestr(member, data)
                target.writestr(member.filename, flipped(data, draw) if data else b"x")
            else:
                target.writestr(name, data)
    return written.getvalue()


def zip_sizes(content: bytes, draw: random.Random) -> bytes:
    """Let a zip lie about the sizes or sums of a member, in its directory or before the data."""
    changed = bytearray(content)
    mark, fields = draw.choice(((b"PK\1\2", (10, 16, 20, 24, 42)), (b"PK\3\4", (8, 14, 18, 22))))
    places = [at for at in range(len(content) - 4) if content[at : at + 4] == mark]
    if not places:
        return flipped(content, draw)
    at = draw.choice(places) + draw.choice(fields)
    changed[at : at + 4] = struct.pack("<I", draw.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF)))
    return bytes(changed)


def zip_bomb(content: bytes, draw: random.Random) -> bytes:
    """Put gigabytes of zeros in place of a member of a zip."""
    written = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as source,
        zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        chosen = draw.choice(source.namelist())
        for name in source.namelist():
            if name != chosen:
                target.writestr(name, source.read(name))
                continue
            with target.open(name, "w", force_zip64=True) as member:
                for _ in range(MEGABYTES):
                    member.write(b"\0" * 2**20)
    return written.getvalue()


YAMLS = (
    "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{('*' + chr(97 + i) + ',') * 9}]\n" for i in range(9)
    ),
    "!!python/object/apply:os.mkdir [exploded]\n",
    "a: !!python/name:os.system\n",
    "a: !!binary not base64\n",
    "? [a, b]\n: c\n",
    "a: &a\n  b: *a\n",
    "a: " + "[" * 50_000 + "\n",
    "a: " + "9" * 5_000 + "\n",
    "train: {batch_size: 100000000}\n",
    "train: {workers: 100000}\n",
    "train: {steps: -1}\n",
    "network: {trunk: {channels: 1.0e+18}}\n",
    "a: 2001-99-99\n",
    "- a\n- b\n",
    "a: 1\na: 2\n",
    "<<: 5\n",
    "\t\n",
    "%YAML 9.9\n---\n",
    "--- a\n--- b\n",
)
"""Documents that harm careless readers."""


def yaml_document(content: bytes, draw: random.Random) -> bytes:
    """Put a harmful document in place of the file, or behind it."""
    document = draw.choice(YAMLS).encode()
    return document if draw.random() < 0.5 else content + document  # noqa: PLR2004


def yaml_value(content: bytes, draw: random.Random) -> bytes:
    """Replace a value of a YAML file."""
    lines = content.decode().splitlines(keepends=True)
    at = draw.randrange(len(lines))
    key, colon, _ = lines[at].partition(":")
    value = draw.choice(("-1", "1e99", ".nan", ".inf", "null", "[]", "{}", "'x'", "yes", "10" * 30))
    lines[at] = f"{key}{colon} {value}\n" if colon else f"{lines[at].rstrip()} {value}\n"
    return "".join(lines).encode()


def _nothing(path: Path) -> None:
    del path


def _dangle(path: Path) -> None:
    path.symlink_to("nowhere")


def _circle(path: Path) -> None:
    path.symlink_to(path.name)


def _zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


PLACES: dict[str, Callable[[Path], None]] = {
    "missing": _nothing,
    "folder": Path.mkdir,
    "fifo": os.mkfifo,
    "dangling-link": _dangle,
    "circular-link": _circle,
    "endless-device": _zeros,
}
"""What may be in the place of a file."""

BYTES: dict[str, Mutation] = {
    "flipped": flipped,
    "cut": cut,
    "removed": removed,
    "inserted": inserted,
    "repeated": repeated,
    "emptied": emptied,
}

KINDS: dict[str, dict[str, Mutation]] = {
    "json": {
        "value": swapped_value,
        "number": changed_number,
        "entry": removed_entry,
        "element": repeated_element,
        "second-key": second_key,
        "nested": nested,
        "encoded": encoded,
        "digits": digits,
    },
    "png": {
        "chunk": moved_chunk,
        "sum": wrong_sum,
        "header": huge_header,
        "swollen": swollen,
    },
    "zip": {"names": zip_names, "sizes": zip_sizes, "bomb": zip_bomb},
    "yaml": {"document": yaml_document, "value": yaml_value},
}
"""Mutations of files of a kind, beside those of their bytes."""

SUFFIXES = {
    ".json": "json",
    ".png": "png",
    ".zip": "zip",
    ".npz": "zip",
    ".pt": "zip",
    ".yaml": "yaml",
}
"""Kind of the files of each suffix."""


def of(name: str) -> dict[str, Mutation]:
    """Return all mutations for a file of this name."""
    return BYTES | KINDS.get(SUFFIXES.get(Path(name).suffix, ""), {})
