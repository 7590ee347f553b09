"""Symbolic links below a folder, which are followed only into the folders that the user gave."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn
from unicodedata import normalize

from jsisnet.files.regular import irregular

FOLLOW = "--follow-links"
"""Option of every command that follows all links, as `follow_links` does."""


@dataclass(frozen=True, slots=True)
class _Allowed:
    """Where links may lead, besides the folder that they are below."""

    folders: tuple[str, ...] = ()
    anywhere: bool = False


_FORMS: Final = ("NFC", "NFD")
"""Unicode forms of names: what most systems write, and what macOS once wrote."""

_NOWHERE_ELSE = _Allowed()

_allowed: ContextVar[_Allowed] = ContextVar("_allowed")


class RefusedLinkError(ValueError):
    """A symbolic link leads out of the folders that the user gave."""


@contextmanager
def follow_links(into: Iterable[Path] | None = None) -> Iterator[None]:
    """Follow the links of the data sets and folders that are opened inside the block.

    Without it a link is followed if its target is below the folder that is read.

    Args:
        into: Other folders where links may lead; default: anywhere.

    Example:
        >>> with follow_links():
        ...     source = jsisnet.open_dataset("coco", annotations="val.json")  # doctest: +SKIP
    """
    outer = _allowed.get(_NOWHERE_ELSE)
    folders = () if into is None else map(os.path.realpath, into)
    token = _allowed.set(
        _Allowed(folders=(*outer.folders, *folders), anywhere=outer.anywhere or into is None)
    )
    try:
        yield
    finally:
        _allowed.reset(token)


def are_followed_anywhere() -> bool:
    """Return whether `follow_links` allows links to lead anywhere."""
    return _allowed.get(_NOWHERE_ELSE).anywhere


class Links:
    """The rule for symbolic links below one folder, as it is when this object is made.

    The folder itself may be a link. Only a link is resolved, and each folder once, so that other
    files cost one system call.
    """

    def __init__(self, root: Path) -> None:
        """Note where links may lead: into the folder, and where `follow_links` says.

        Args:
            root: The folder.
        """
        allowed = _allowed.get(_NOWHERE_ELSE)
        real = os.path.realpath(root)
        self._root = root
        self._into = None if allowed.anywhere else (real, *allowed.folders)
        self._folders: dict[str, bool] = {}

    def refusal(self, path: Path | str) -> str | None:
        """Return why a path below the folder is not followed, or ``None`` if it is."""
        text = os.fspath(path)
        if self._into is None:
            return None
        if text.isascii() and "\\" not in text:
            return self._refusal(text)
        # The file may be found under another spelling, which may be the link.
        spellings = (text, *map(str, other_spellings(Path(text))))
        return next(filter(None, map(self._refusal, spellings)), None)

    def _refusal(self, text: str) -> str | None:
        folder = os.path.dirname(text)  # noqa: PTH120 - pathlib takes four times as long
        isallowed = self._folders.get(folder)
        if isallowed is None:
            isallowed = self._folders[folder] = self._isallowed(folder)
        if isallowed and (not os.path.islink(text) or self._isallowed(text)):  # noqa: PTH114 - ditto
            return None
        return self._describe(Path(text))

    def refuse(self, path: Path | str) -> None:
        """Refuse a path below the folder that leads out of the given folders.

        Raises:
            RefusedLinkError: If it does; the message names the link.
        """
        refusal = self.refusal(path)
        if refusal is not None:
            _refuse(refusal)

    def on_the_way(self, path: Path) -> list[Path]:
        """Return the links among a path below the folder and its parents, outermost first."""
        parts = path.relative_to(self._root).parts
        below = (self._root.joinpath(*parts[: n + 1]) for n in range(len(parts)))
        return [each for each in below if each.is_symlink()]

    def files(
        self,
        inside: str = "",
        *,
        iswanted: Callable[[str], bool] = lambda _: True,
        on_refused: Callable[[str], object] | None = None,
    ) -> Iterator[str]:
        """Yield the paths of files in a folder and its subfolders, without hidden ones.

        Args:
            inside: Path of the folder below this one; it need not exist.
            iswanted: Whether files of a name are wanted.
            on_refused: Called with the reason for each link that is not followed, and for what is
                no regular file.

        Yields:
            Paths inside the folder with ``/``, in no particular order.

        Raises:
            RefusedLinkError: If there is such a reason and `on_refused` is not given.
        """
        base = self._root / inside
        if inside:
            self.refuse(base)
        folders = [("", os.fspath(base))]
        entered = {os.path.realpath(base)}
        while folders:
            prefix, folder = folders.pop()
            for entry in _entries(folder):
                isfolder = entry.is_dir()
                if not (isfolder or iswanted(entry.name)):
                    continue
                if not (isfolder or entry.is_file()):
                    reason = irregular(Path(entry.path)) or "a link to a file that does not exist"
                    (on_refused or _refuse)(f"{entry.path}: {reason}")
                    continue
                if entry.is_symlink() and not self._follows(entry, entered, on_refused or _refuse):
                    continue
                if isfolder:
                    folders.append((f"{prefix}{entry.name}/", entry.path))
                else:
                    yield prefix + entry.name

    def _follows(
        self, link: os.DirEntry[str], entered: set[str], on_refused: Callable[[str], object]
    ) -> bool:
        refusal = self.refusal(link.path)
        if refusal is not None:
            on_refused(refusal)
            return False
        return link.is_file() or _enter(link.path, entered)

    def _isallowed(self, path: str) -> bool:
        assert self._into is not None  # some links are refused
        real = os.path.realpath(path)
        return any(_isinside(real, folder) for folder in self._into)

    def _describe(self, path: Path) -> str:
        links = [each for each in self.on_the_way(path) if not self._isallowed(os.fspath(each))]
        if not links:  # a junction of Windows
            return f"{path} leads out of {self._root}; {FOLLOW} follows it"
        where = "" if links[0] == path else f"{path}: "
        return (
            f"{where}{links[0]} is a symbolic link to {links[0].readlink()}, which is outside the "
            f"given folders; {FOLLOW} follows it"
        )


def other_spellings(path: Path) -> Iterator[Path]:
    r"""Yield a path with ``/`` for ``\``, and in both Unicode forms."""
    posix = path.as_posix().replace("\\", "/")
    yield Path(posix)
    for form in _FORMS:
        yield Path(normalize(form, posix))


def _refuse(refusal: str) -> NoReturn:
    raise RefusedLinkError(refusal)


def _isinside(real: str, folder: str) -> bool:
    return real == folder or real.startswith(folder.rstrip(os.sep) + os.sep)


def _enter(link: str, entered: set[str]) -> bool:
    """Note a linked folder, unless its files are listed elsewhere or it would never end."""
    real = os.path.realpath(link)
    if any(_isinside(real, other) or _isinside(other, real) for other in entered):
        return False
    entered.add(real)
    return True


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """List what a folder holds, without hidden entries; nothing if it can't be listed."""
    with suppress(PermissionError, FileNotFoundError, NotADirectoryError), os.scandir(folder) as it:
        return [entry for entry in it if not entry.name.startswith(".")]
    return []
