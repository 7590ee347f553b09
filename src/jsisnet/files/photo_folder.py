"""Folder of photos, found by the names that files of annotations give them."""

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath
from posixpath import normpath
from unicodedata import normalize
from urllib.parse import unquote

from jsisnet.files import json_fields
from jsisnet.files.links import Links

_CITYSCAPES = re.compile(r"(.+/)?(([^/_]+)_[^/]+)_gt(?:Fine|Coarse)(_leftImg8bit\.\w+)")
"""Name that cityscapesScripts writes: without the folder of the city, and with the annotation's
ending before that of the photo."""


class Oddity(Enum):
    """How the file of a photo differs from the name that is listed."""

    PATH = "listed under other paths than their files have"
    UNICODE = "listed in another Unicode form than their files have"
    CITYSCAPES = "listed as cityscapesScripts does, without the folder of their city"


@dataclass(frozen=True, slots=True)
class LocatedPhoto:
    """Where a listed photo is."""

    path: Path
    """Path below the folder; it may not exist."""

    oddity: Oddity | None = None
    """How the listed name differs from the path."""


@dataclass
class PhotoFolder:
    """A folder of photos that finds them by the names in a file.

    Labelling tools list photos by absolute paths, URLs, or paths of another system, and names may
    be in either Unicode form. A name is looked up as it is; only if there is no such file, the
    folder is searched, once, for the file of this name. Links are followed as `Links` says.
    """

    root: Path | None
    """The folder; ``None`` if it is unknown, so that no file is found."""

    _odd: dict[Oddity, list[tuple[str, Path]]] = field(default_factory=lambda: defaultdict(list))
    _by_ending: dict[str, dict[tuple[str, ...], list[str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.links = Links(self.root or Path())
        """The rule for symbolic links below the folder."""

    def find(self, name: str) -> LocatedPhoto:
        """Locate a photo.

        Args:
            name: Name in the file of annotations.

        Returns:
            The photo; if there is none, the path that it would have.

        Raises:
            ValueError: If the name is none of a file, several files could be meant, or a link
                leads out of the folder.
        """
        if self.root is not None and json_fields.stays_inside(name):
            path = self.root / name
            if _isfile(path):
                self.links.refuse(path)
                return LocatedPhoto(path)
        relative = relative_name(name)
        if self.root is None:
            return LocatedPhoto(Path(relative))
        for spelling in _spellings(name):
            found = self._search(spelling)
            if found is not None:
                self._odd[found[1]].append((name, found[0]))
                return LocatedPhoto(*found)
        self.links.refuse(self.root / relative)
        return LocatedPhoto(self.root / relative)

    def warnings(self, photos: int) -> tuple[str, ...]:
        """Describe the oddities so far, except those of cityscapesScripts, which are no mistake.

        Args:
            photos: Number of all photos.
        """
        return tuple(
            f"{len(odd):,} of {photos:,} photos are {oddity.value}, such as {odd[0][0]!r} for "
            f"{odd[0][1]}"
            for oddity, odd in self._odd.items()
            if oddity is not Oddity.CITYSCAPES
        )

    def _search(self, name: str) -> tuple[Path, Oddity] | None:
        """Return the file that a name with slashes means, if there is one."""
        assert self.root is not None  # the caller has made sure
        inside = normpath(name)
        if (
            json_fields.stays_inside(inside)
            and _isfile(self.root / inside)
            and self.links.refusal(self.root / inside) is None
        ):
            return self.root / inside, Oddity.PATH
        cityscapes = _CITYSCAPES.fullmatch(name)
        if cityscapes is not None:
            _, stem, city, ending = cityscapes.groups()
            for folder in (self.root / city, self.root):
                path = folder / f"{stem}{ending}"
                if _isfile(path) and self.links.refusal(path) is None:
                    return path, Oddity.CITYSCAPES
        return self._search_by_name(name)

    def _search_by_name(self, name: str) -> tuple[Path, Oddity] | None:
        assert self.root is not None  # the caller has made sure
        wanted = PurePosixPath(normalize("NFC", name)).parts or ("",)
        best = self._by_name.get(wanted[-1], [])
        if len(best) > 1:
            endings = self._endings(wanted[-1])
            known = (wanted[begin:] for begin in range(len(wanted)) if wanted[begin:] in endings)
            best = endings[next(known)]
        if len(best) > 1:
            raise ValueError(
                f"'file_name' is {name!r}; expected one such file below {self.root}, but there are "
                f"{self.root / best[0]} and {self.root / best[1]}"
            )
        if not best:
            return None
        isform = normalize("NFC", best[0]) == normalize("NFC", name)
        return self.root / best[0], Oddity.UNICODE if isform else Oddity.PATH

    def _endings(self, name: str) -> dict[tuple[str, ...], list[str]]:
        """Return the files of one name by the last parts of their paths: the first two of each."""
        assert self.root is not None  # the caller has made sure
        if name not in self._by_ending:
            found: dict[tuple[str, ...], list[str]] = defaultdict(list)
            for path in self._by_name[name]:
                place = normalize("NFC", (self.root.absolute() / path).as_posix())
                parts = PurePosixPath(place).parts
                for begin in range(len(parts)):
                    found[parts[begin:]] = [*found[parts[begin:]], path][:2]
            self._by_ending[name] = dict(found)
        return self._by_ending[name]

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        """Paths of all files below the folder, by their names in the Unicode form NFC."""
        assert self.root is not None  # the caller has made sure
        found: dict[str, list[str]] = defaultdict(list)
        for path in sorted(self.links.files(on_refused=lambda _: None)):
            found[normalize("NFC", PurePosixPath(path).name)].append(path)
        return dict(found)


def relative_name(name: str) -> str:
    r"""Return the path inside a folder that a listed name stands for.

    Args:
        name: Name in a file of annotations; ``\`` counts as ``/``. Of names that begin outside
            their folder, such as absolute paths and URLs, only the last part counts.

    Raises:
        ValueError: If it is none of a file.

    >>> relative_name(r"street\1.jpg"), relative_name("https://example.org/street/1.jpg")
    ('street/1.jpg', '1.jpg')
    """
    if name[:5].lower() == "data:":
        json_fields.check_file_name("file_name", name)
    first, *_, last = [*_spellings(name), *_spellings(name)]
    if json_fields.stays_inside(first) and "://" not in name:
        json_fields.check_file_name("file_name", first)
        return PurePosixPath(first).as_posix()
    path = PureWindowsPath(last)
    json_fields.check_file_name("file_name", path.name)
    if not path.name or path.name == ".." or "\0" in last:
        shown = json_fields.shown(name)
        raise ValueError(f"'file_name' is {shown}; expected the name of a file")
    return path.name


def _isfile(path: Path) -> bool:
    # pathlib takes twice as long, for each of many photos, and fails if a name is too long.
    return os.path.isfile(path)  # noqa: PTH113


def _spellings(name: str) -> Iterator[str]:
    """Yield a name with slashes alone, and without what URLs add to it."""
    yield name.replace("\\", "/")
    if "?" in name or "%" in name:
        _, _, local = name.partition("?d=")  # a local file of Label Studio
        yield unquote(local or name.partition("?")[0]).replace("\\", "/")
