"""Where commands may write."""

from collections.abc import Iterable
from pathlib import Path


def refuse_to_replace(inputs: Iterable[Path], outputs: Iterable[Path]) -> None:
    """Refuse to write over a file that is read.

    Raises:
        ValueError: If an output is an input; the message names it.
    """
    read = [path for path in inputs if path.exists()]
    for output in outputs:
        if output.exists() and any(output.samefile(path) for path in read):
            raise ValueError(
                f"{output} is read here, so nothing is written to it; expected another"
            )
