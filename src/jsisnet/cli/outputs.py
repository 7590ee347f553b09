"""Checks of output paths, before any work is done."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jsisnet.formats.open import DatasetLocation


def require_image_suffix(path: Path) -> None:
    """Check that the suffix of a path is that of an image format.

    Raises:
        ValueError: If it is not.
    """
    from jsisnet.files.photos import format_of

    format_of(path)


def refuse_to_replace(inputs: Iterable[Path], outputs: Iterable[Path]) -> None:
    """Check that outputs are distinct files and that none of them is an input.

    Raises:
        ValueError: If an output is an input, another output, a folder, or below a file; the
            message names it.
    """
    read = [path for path in inputs if path.exists()]
    written: set[Path] = set()
    for output in outputs:
        if output.is_dir():
            raise ValueError(f"{output} is a folder; give the name of a file")
        if not _nearest(output).is_dir():
            raise ValueError(
                f"{_nearest(output)} is a file, so {output.name} can't be written in it"
            )
        if output.resolve() in written:
            raise ValueError(f"{output} is given for two outputs; use different names")
        written.add(output.resolve())
        if output.exists() and any(output.samefile(path) for path in read):
            raise ValueError(f"{output} is an input and would be overwritten; choose another name")


def _nearest(path: Path) -> Path:
    """Return the nearest parent of a path that exists."""
    return next(above for above in path.absolute().parents if above.exists())


def refuse_file_in(folder: Path, path: Path) -> None:
    """Raise a `ValueError` if a path would overwrite a file in a folder of the data."""
    if path.exists() and path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(
            f"{path} is a file of the data set and would be overwritten; choose another name"
        )


def refuse_inputs_in(folder: Path, inputs: Iterable[Path]) -> None:
    """Check that no input lies in a folder whose files may be replaced.

    Raises:
        ValueError: If an input is the folder, or lies in it.
    """
    for path in inputs:
        if path.exists() and path.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{path} is an input and would be replaced; choose another folder")


def refuse_folder_in_maps(location: "DatasetLocation", folder: Path) -> None:
    """Check that maps are not written into a folder whose maps are read.

    Raises:
        ValueError: If the folder lies in one of those of the data set.
    """
    for maps in filter(None, (location.pngs, location.semantic, location.instances)):
        if maps.is_dir() and folder.resolve().is_relative_to(maps.resolve()):
            raise ValueError(f"{folder} lies in {maps}, which is an input; choose another folder")


def refuse_to_replace_data(location: "DatasetLocation", outputs: Sequence[Path]) -> None:
    """Check outputs as `refuse_to_replace` does, with all files of a data set as inputs.

    Raises:
        ValueError: See `refuse_to_replace`.
    """
    refuse_to_replace(location.paths, outputs)
    for folder in filter(Path.is_dir, location.paths):
        for output in outputs:
            refuse_file_in(folder, output)
