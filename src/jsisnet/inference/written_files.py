"""Note of the files that a command writes to a folder, so that later runs replace only these."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from jsisnet.files import json_fields
from jsisnet.files.atomic import lock_folder, remove_leftovers, write_json


@contextmanager
def locked(*folders: Path) -> Iterator[None]:
    """Lock the folders of a run; afterwards delete those that are new and still empty.

    Raises:
        ValueError: If another process is writing to one of them, or one is a file.
    """
    distinct = {folder.resolve(): folder for folder in folders}.values()
    new = [folder for folder in distinct if not folder.exists()]
    try:
        with ExitStack() as stack:
            for folder in distinct:
                stack.enter_context(lock_folder(folder))
            yield
    finally:
        for folder in new:
            with suppress(OSError):
                folder.rmdir()


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenFiles:
    """What earlier runs have written to a folder, which must be locked."""

    path: Path
    """JSON file in the folder that holds the note."""

    purpose: str
    """Identifies the run."""

    resumes: bool
    """Whether the files are of this run, so that they are kept."""

    names: frozenset[str]
    """Paths inside the folder that earlier runs have written, or were about to write."""

    def holds(self, name: str) -> bool:
        """Return whether this run has written a file already, and it still exists."""
        return self.resumes and name in self.names and (self.path.parent / name).is_file()

    def check(self, names: Iterable[str], *, replaces: bool = False) -> None:
        """Check names of files that are about to be written.

        Args:
            names: Paths inside the folder.
            replaces: Whether other files of these names may be replaced.

        Raises:
            ValueError: If a name leads out of the folder, or a file of the name exists that no
                earlier run has written.
        """
        for name in names:
            path = json_fields.path_in(self.path.parent, {"file_name": name}, "file_name")
            if not replaces and name not in self.names and path.is_file():
                raise ValueError(
                    f"{path} is a file that no earlier run has written, and would be overwritten; "
                    "choose another folder"
                )

    def claim(
        self, names: Collection[str], indexes: Sequence[Path], *, replaces: bool = False
    ) -> None:
        """Note files that are about to be written, and delete what they would contradict.

        The indexes go first, so that none ever describes files of two runs; then, unless this run
        is resumed, the files of earlier runs.

        Args:
            names: Paths inside the folder.
            indexes: Files that describe the others; they are written last.
            replaces: Whether other files of these names may be replaced.

        Raises:
            ValueError: See `check`.
        """
        self.check(names, replaces=replaces)
        for index in indexes:
            index.unlink(missing_ok=True)
        for used in {(self.path.parent / name).parent for name in self.names}:
            remove_leftovers(used)
        if not self.resumes:
            delete(self.path.parent, self.names)
        kept = self.names if self.resumes else frozenset()
        # Sorted, so that a resumed run leaves the same note as one that was never interrupted.
        noted = sorted({*kept, *names})
        write_json(self.path, {"purpose": self.purpose, "files": noted}, {})


def read_written(path: Path, purpose: str, *, anew: bool = False) -> WrittenFiles:
    """Read the note of what earlier runs have written; without one, they have written nothing.

    Args:
        path: JSON file of the note.
        purpose: Identifies the run.
        anew: Whether the run replaces the files of an earlier one of the same purpose.

    Raises:
        ValueError: If the note is damaged, or names files outside its folder.
    """
    if not path.exists():
        return WrittenFiles(path=path, purpose=purpose, resumes=False, names=frozenset())
    try:
        values = json_fields.load(path)
        names = json_fields.strings(values, "files")
        for name in names:
            json_fields.path_in(path.parent, {"file": name}, "file")
        resumes = not anew and json_fields.string(values, "purpose") == purpose
    except ValueError as error:
        raise ValueError(f"{path}: damaged; delete it, or choose another folder") from error
    return WrittenFiles(path=path, purpose=purpose, resumes=resumes, names=frozenset(names))


def delete(folder: Path, names: Iterable[str], keep: Collection[Path] = ()) -> None:
    """Delete files of a folder, but nothing outside it where a link leads out of it.

    Args:
        folder: The folder.
        names: Paths inside it; what does not exist is left out.
        keep: Resolved paths of files that are kept.
    """
    root = folder.resolve()
    for name in names:
        path = folder / name
        inside = path.is_file() and path.parent.resolve().is_relative_to(root)
        if inside and path.resolve() not in keep:
            path.unlink(missing_ok=True)
