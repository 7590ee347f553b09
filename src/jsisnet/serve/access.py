"""API keys: which requests may use the models."""

import hmac
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from pathlib import Path

from fastapi import Request

from jsisnet.files.regular import read_regular
from jsisnet.serve.problems import ProblemError

_MAX_FILE = 1 << 20
"""Size limit of a file of keys in bytes."""

_MIN_KEY = 8
"""Characters of the shortest key."""


def read_keys(path: Path) -> tuple[str, ...]:
    """Read the keys of a file, one a line; empty lines and those that begin with # are skipped.

    Raises:
        ValueError: If it can't be read, or holds no key, or one that is too short or not ASCII.
    """
    try:
        content = read_regular(path, _MAX_FILE + 1)
        lines = content.decode("ascii").splitlines()
    except OSError as error:
        raise ValueError(f"{path}: can't be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected keys of ASCII characters, one a line") from error
    if len(content) > _MAX_FILE:
        raise ValueError(f"{path}: more than {_MAX_FILE:,} bytes; expected keys, one a line")
    stripped = [(number, line.strip()) for number, line in enumerate(lines, 1)]
    keys = [(number, key) for number, key in stripped if key and not key.startswith("#")]
    for number, key in keys:
        if len(key) < _MIN_KEY or not key.isprintable() or " " in key:
            raise ValueError(
                f"{path}: line {number} is no key; expected at least {_MIN_KEY} printable "
                "characters without spaces"
            )
    if not keys:
        raise ValueError(f"{path}: no key in it; expected one a line")
    return tuple(dict.fromkeys(key for _, key in keys))


def key_check(keys: Sequence[str]) -> Callable[[Request], Awaitable[None]]:
    """Return a dependency of routes that refuses requests without one of the keys.

    Without keys, all requests pass.
    """
    digests = [_digest(key) for key in keys]

    async def check(request: Request) -> None:
        if not digests:
            return
        given = _digest(_key(request))
        # All are compared, so that the time says nothing about any.
        if not sum([hmac.compare_digest(given, digest) for digest in digests]):
            raise ProblemError(
                401,
                "missing or wrong API key; send it as 'Authorization: Bearer KEY' or 'X-API-Key'",
                {"WWW-Authenticate": "Bearer"},
            )

    return check


def _key(request: Request) -> str:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    return request.headers.get("x-api-key", "")


def _digest(key: str) -> bytes:
    return sha256(key.encode()).digest()
