"""Files in object stores, which fsspec reads and writes."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from jsisnet.files.stamps import Stamp
from jsisnet.lazy import import_extra

_URL = re.compile("([a-z][a-z0-9+.-]+)://", re.IGNORECASE)

_PASSWORD = re.compile("([^/]*//)[^/]*:[^/]*@")
"""Beginning of a URL with a name and a password."""

_MAX_BYTES = 1 << 30
"""Size limit in bytes of what is read at once."""

_CHANGES = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "updated")
"""What stores call the state of a file, best first."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file in an object store, as it was listed."""

    url: str
    size: int
    state: str
    """Tells whether its content has changed: a checksum or time, as the store has it."""

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        """Its name without folders."""
        return PurePosixPath(self.url).name

    def stamp(self) -> Stamp:
        """Return what tells whether it is still the same; see `files.stamps`."""
        return [self.url, self.size, self.state]

    def read_bytes(self) -> bytes:
        """Read its content.

        Raises:
            ValueError: If it can't be read, or is too large.
        """
        if self.size > _MAX_BYTES:
            raise ValueError(f"{self.url}: more than {_MAX_BYTES:,} bytes")
        with naming(self.url):
            system, path = open_store(self.url)
            return system.cat_file(path)


def is_url(path: str) -> bool:
    """Return whether a path is a URL of an object store, such as ``s3://bucket/photos``."""
    found = _URL.match(path)
    return found is not None and found[1].lower() not in ("http", "https", "file")


def open_store(url: str) -> tuple[Any, str]:
    """Return fsspec's file system for a URL, and the path in it.

    Raises:
        ImportError: If fsspec is not installed.
        ValueError: If the URL is of an unknown kind, or the package for its kind is not installed.
    """
    secret = _PASSWORD.match(url)
    if secret is not None:
        raise ValueError(
            f"{secret[1]}...@{url[secret.end() :]}: a URL with a password, which would stand in "
            "the results; give it to the store's package, such as in the environment"
        )
    fsspec = import_extra(f"the URL {url}", "fsspec.core")
    if "::" in url:
        raise ValueError(f"{url}: a chain of URLs; expected one")
    with naming(url):
        system, path = fsspec.url_to_fs(url)
    return system, path


def remote_file(system: Any, info: Mapping[str, Any]) -> RemoteFile:  # noqa: ANN401 - fsspec's own
    """Return a file that a store has listed."""
    state = next((str(info[key]) for key in _CHANGES if info.get(key) is not None), "")
    url = system.unstrip_protocol(info["name"])
    return RemoteFile(url, int(info.get("size") or 0), state)


@contextmanager
def naming(url: str) -> Iterator[None]:
    """Raise errors of a store, which has its own, as a `ValueError` that names the URL."""
    try:
        yield
    except FileNotFoundError:
        raise ValueError(f"{url}: no such file or folder in the object store") from None
    except Exception as error:
        text = " ".join(f"{error}".split()) or type(error).__name__
        raise ValueError(text if text.startswith(url) else f"{url}: {text}") from error
