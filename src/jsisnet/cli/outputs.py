"""Where commands may write."""

from collections.abc import Iterable
from pathlib import Path


def refuse_to_replace(inputs: Iterable[Path], outputs: Iterable[Path]) -> None:
    """Refuse to write over a file that is read, or over one that is just written.

    Raises:
        ValueError: If an output is an input, another output or a folder; the message names it.
    """
    read = [path for path in inputs if path.exists()]
    written: set[Path] = set()
    for output in outputs:
        if output.is_dir():
            raise ValueError(f"{output} is a folder; expected the name of a file")
        if output.resolve() in written:
            raise ValueError(f"{output} is to be written twice; expected two names")
        written.add(output.resolve())
        if output.exists() and any(output.samefile(path) for path in read):
            raise ValueError(
                f"{output} is read here, so nothing is written to it; expected another"
            )
