"""The strict rule for JSON that users give: UTF-8, and no name twice in an object.

NaN and Infinity, which Python and other tools write, are read; fields in use must be finite.
"""

import json
import re
import sys
from json import JSONDecodeError

_MARK = b"\xef\xbb\xbf"
"""Byte order mark that some editors put in front of UTF-8."""

_ADVICE = "save the file as UTF-8"

_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}:]|(?<![.\d])\d{4000,}')
"""Strings, ends of objects, ends of names, and integers that Python may refuse. Nothing is tried
again, as noting where to would take a hundred bytes for each character of a string."""


def parse(content: bytes) -> object:
    """Parse a JSON document.

    Raises:
        ValueError: If it breaks the rule, is no JSON or is nested too deeply. The message gives the
            place, but not the file.
    """
    start = text_start(content)
    try:
        text = content[start:].decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(not_utf8(start + error.start)) from None
    try:
        return STRICT.decode(text)
    except JSONDecodeError as error:
        raise ValueError(f"invalid JSON: {error}") from None
    except RecursionError:
        raise ValueError("invalid JSON: nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"invalid JSON: {located(error, text)}") from None


def text_start(content: bytes) -> int:
    """Return where the text begins, after a byte order mark.

    Raises:
        ValueError: If the content is encoded in UTF-16 or UTF-32.
    """
    if content.startswith(_MARK):
        return len(_MARK)
    encoding = json.detect_encoding(content[:4])
    if encoding != "utf-8":
        raise ValueError(f"invalid JSON: encoded in {encoding[:6].upper()}; {_ADVICE}")
    return 0


def not_utf8(place: int) -> str:
    """Return the refusal of a byte that is no UTF-8."""
    return f"invalid JSON: at byte {place}: not encoded in UTF-8; {_ADVICE}"


def located(error: ValueError, text: str) -> JSONDecodeError:
    """Find the place of an error that Python raises without one.

    Args:
        error: About a duplicate name, or an integer of thousands of digits.
        text: The document, or the value in it.
    """
    names: list[set[str]] = []
    last = text[:0]
    for token in _TOKEN.finditer(text):
        found, place = token.group(), token.start()
        if found == "{":
            names.append(set())
        elif found == "}":
            names.pop()
        elif found == ":":
            if last in names[-1]:
                return JSONDecodeError(f"duplicate name {json.dumps(last)}", text, place)
            names[-1].add(last)
        elif found.startswith('"'):
            last = json.loads(found)
        elif len(found) > sys.get_int_max_str_digits():
            return JSONDecodeError(f"a number of {len(found):,} digits", text, place)
    return JSONDecodeError(f"{error}", text, 0)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("duplicate name")
    return values


STRICT = json.JSONDecoder(object_pairs_hook=_unique)
"""Decoder that refuses duplicate names, which it does not locate."""
