"""Photos to segment: files, folders, patterns, zips and standard input."""

import glob
import io
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from pathlib import Path, PurePosixPath

import numpy as np

from jsisnet.arrays import UInt8
from jsisnet.files.archives import Member, files_below
from jsisnet.files.links import Links
from jsisnet.files.photos import has_photo_suffix, printable_path, read_image, refuse_url, to_rgb
from jsisnet.files.remote import RemoteFile, is_url
from jsisnet.files.stamps import Stamp, stamp
from jsisnet.files.windows import Window

STANDARD_INPUT = "-"
"""Argument that stands for a photo on standard input."""

_STDIN_NAME = "stdin"

_ZIP = ".zip"

_MAX_STDIN = 1 << 30


Source = Path | Member | RemoteFile | bytes
"""Where a photo is: in a file, in a zip, in an object store, or in memory."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo to segment."""

    source: Source | Window
    """Where it is, or the part of a picture that it is."""

    name: str
    """Stem of the files that are written for it; unique."""

    @property
    def title(self) -> str:
        """What the user knows it by, in one line."""
        if isinstance(self.source, bytes):
            return "standard input"
        return printable_path(str(self.source))

    @property
    def file_name(self) -> str:
        """Its `name` with the suffix of its file."""
        if isinstance(self.source, bytes):
            return self.name
        return self.name + PurePosixPath(self.source.name).suffix

    @property
    def file(self) -> Path | None:
        """The file on disk that is read, which may be a zip; ``None`` if there is none."""
        match self.source:
            case Member(archive=archive):
                return archive
            case Path() as path:
                return path
            case Window(picture=picture):
                return picture.path
        return None

    def read(self) -> UInt8[np.ndarray, "h w 3"]:
        """Read the photo as RGB, rotated by its EXIF orientation.

        Raises:
            ValueError: If it can't be read; the message names it.
        """
        if isinstance(self.source, Path):
            return read_image(self.source, upright=True)
        try:
            if isinstance(self.source, Window):
                return self.source.read()
            content = self._content()
        except OSError as error:
            raise ValueError(f"{self.title}: {error.strerror or error}") from error
        if not content:
            raise ValueError(f"{self.title}: empty; expected an image")
        return to_rgb(_NamedContent(content, self.title))

    def stamp(self) -> Stamp:
        """Return what tells whether the photo is still the same: its place, size and time."""
        if isinstance(self.source, bytes):
            return [self.title, sha256(self.source).hexdigest()]
        if isinstance(self.source, RemoteFile | Window):
            return self.source.stamp()
        return stamp(self.source)

    def _content(self) -> bytes:
        if isinstance(self.source, bytes):
            return self.source
        assert isinstance(self.source, Member | RemoteFile)
        return self.source.read_bytes()


class _NamedContent(io.BytesIO):
    """Content of a file with a name, which messages show."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self.name = name


@dataclass(frozen=True, slots=True)
class FoundPhotos:
    """Photos that arguments stand for."""

    photos: tuple[Photo, ...]
    """Unique photos in the order of the arguments, sorted within a folder, pattern or zip."""

    problems: tuple[str, ...]
    """A message for each argument that stands for no photo."""


def find_photos(
    arguments: Sequence[str],
    standard_input: Callable[[int], bytes] | None = None,
    *,
    without: Collection[Path] = (),
    find_stored: Callable[[str], Iterable[RemoteFile]] | None = None,
) -> FoundPhotos:
    """Find the photos that arguments stand for.

    Args:
        arguments: Files, which may be links to anywhere; folders, for the photos directly in them;
            zips, for all photos in them; glob patterns, in which ``**`` matches nested folders; and
            ``-`` for `standard_input`.
        standard_input: Reads up to a number of bytes of a stream with one photo.
        without: Resolved paths of files that are no photos where a folder or pattern has them.
        find_stored: Finds the photos at a URL of an object store; without it no URL is accepted.

    Raises:
        ValueError: If no argument stands for a photo.
    """
    if not arguments:
        raise ValueError("give at least one image, folder, zip or pattern")
    sources: list[Source] = []
    unmatched: list[str] = []
    problems: list[str] = []
    for argument in arguments:
        try:
            found = list(_matches(argument, standard_input, without, problems.append, find_stored))
        except OSError as error:  # a name too long, or a folder that can't be read
            problems.append(f"{printable_path(argument)}: {error.strerror or error}")
            continue
        except ValueError as error:
            problems.append(f"{error}")
            continue
        sources += found
        if not found:
            unmatched.append(printable_path(argument))
    problems += [f"{argument}: no image found" for argument in unmatched]
    if not sources:
        none = f"no image found: {', '.join(unmatched)}"
        raise ValueError(none if len(problems) == len(unmatched) else problems[0])
    unique: dict[object, Source] = {}
    for source in sources:
        unique.setdefault(_identity(source), source)
    return FoundPhotos(tuple(name_photos(unique.values())), tuple(problems))


def name_photos(sources: Iterable[Source]) -> list[Photo]:
    """Name photos by their stems; repeated stems get the suffixes ``_2``, ``_3`` and so on."""
    sources = list(sources)
    stems = [_stem(source) for source in sources]
    used = {stem.casefold() for stem in stems}
    taken: set[str] = set()
    photos = []
    for source, stem in zip(sources, stems, strict=True):
        name, count = stem, 1
        # Some file systems ignore case.
        while name.casefold() in taken or (count > 1 and name.casefold() in used):
            count += 1
            name = f"{stem}_{count}"
        taken.add(name.casefold())
        photos.append(Photo(source, name))
    return photos


def _matches(
    argument: str,
    standard_input: Callable[[int], bytes] | None,
    without: Collection[Path],
    on_problem: Callable[[str], object],
    find_stored: Callable[[str], Iterable[RemoteFile]] | None,
) -> Iterator[Source]:
    if find_stored is not None and is_url(argument):
        yield from find_stored(argument)
        return
    if argument == STANDARD_INPUT and standard_input is not None:
        yield _read_all(standard_input)
        return
    refuse_url(argument)
    # The name of a file may look like a pattern, so existing files are looked up first.
    if argument != "" and Path(argument).is_file():
        yield from _photos_at(Path(argument), on_problem)
        return
    exists = argument != "" and Path(argument).exists()
    names = [argument] if exists else sorted(glob.glob(argument, recursive=True))  # noqa: PTH207 - patterns may be absolute
    matches = (_photos_at(Path(name), on_problem) for name in names)
    for source in chain.from_iterable(matches):
        if not without or isinstance(source, Member) or source.resolve() not in without:
            yield source


def _photos_at(path: Path, on_problem: Callable[[str], object]) -> Iterator[Path | Member]:
    if path.is_dir():
        yield from _photos_in(path, on_problem)
    elif path.suffix.lower() == _ZIP and path.is_file():
        for name, member in files_below(path, "", "").items():
            if has_photo_suffix(Path(name)) and isinstance(member, Member):
                yield member
    elif path.exists():
        yield path


def _photos_in(folder: Path, on_problem: Callable[[str], object]) -> Iterator[Path]:
    links = Links(folder)
    refusals: list[str] = []
    for photo in sorted(filter(_ispicture, folder.iterdir())):
        refusal = links.refusal(photo)
        if refusal is None:
            yield photo
        else:
            refusals.append(refusal)
    if refusals:
        more = len(refusals) - 1
        on_problem(refusals[0] + (f" and {more:,} other links in {folder}" if more else ""))


def _ispicture(path: Path) -> bool:
    return has_photo_suffix(path) and not path.name.startswith(".") and path.is_file()


def _read_all(read: Callable[[int], bytes]) -> bytes:
    content = read(_MAX_STDIN + 1)
    if not content:
        raise ValueError("standard input: empty; expected an image")
    if len(content) > _MAX_STDIN:
        raise ValueError(f"standard input: more than {_MAX_STDIN:,} bytes")
    return content


def _identity(source: Source) -> object:
    match source:
        case Path():
            return source.resolve()
        case Member():
            return source.archive.resolve(), source.name
    return source


def _stem(source: Source) -> str:
    return _STDIN_NAME if isinstance(source, bytes) else PurePosixPath(source.name).stem
