"""Where commands may write."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jsisnet.formats.open import DatasetLocation


def expect_picture(path: Path) -> None:
    """Make sure that a picture can have a name, before it is drawn.

    Raises:
        ValueError: If the name ends in no format of pictures.
    """
    from jsisnet.files.photos import format_of

    format_of(path)


def refuse_to_replace(inputs: Iterable[Path], outputs: Iterable[Path]) -> None:
    """Refuse to write over a file that is read, or over one that is just written.

    Raises:
        ValueError: If an output is an input, another output, a folder or below a file; the message
            names it.
    """
    read = [path for path in inputs if path.exists()]
    written: set[Path] = set()
    for output in outputs:
        if output.is_dir():
            raise ValueError(f"{output} is a folder; expected the name of a file")
        if not _nearest(output).is_dir():
            raise ValueError(f"{_nearest(output)} is a file; expected a folder for {output.name}")
        if output.resolve() in written:
            raise ValueError(f"{output} is to be written twice; expected two names")
        written.add(output.resolve())
        if output.exists() and any(output.samefile(path) for path in read):
            raise ValueError(
                f"{output} is read here, so nothing is written to it; expected another"
            )


def _nearest(path: Path) -> Path:
    """Give the nearest of the folders above a file that is there, or what is in its place."""
    return next(above for above in path.absolute().parents if above.exists())


def refuse_file_in(folder: Path, path: Path) -> None:
    """Refuse to write over a file in a folder of the data."""
    if path.exists() and path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{path} lies in a folder of the data; expected another")


def refuse_folder_in_maps(location: "DatasetLocation", folder: Path) -> None:
    """Refuse to write maps into a folder whose maps are read, all of which are one data set.

    Raises:
        ValueError: If the folder lies there.
    """
    for maps in filter(None, (location.pngs, location.semantic, location.instances)):
        if maps.is_dir() and folder.resolve().is_relative_to(maps.resolve()):
            raise ValueError(f"{folder} lies in {maps}, which is read; expected another folder")


def refuse_to_replace_data(location: "DatasetLocation", outputs: Sequence[Path]) -> None:
    """Refuse to write over a file of a data set.

    Raises:
        ValueError: Also if an output is another output or a folder; the message names it.
    """
    refuse_to_replace(location.paths, outputs)
    for folder in filter(Path.is_dir, location.paths):
        for output in outputs:
            refuse_file_in(folder, output)
