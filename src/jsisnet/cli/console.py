"""What the commands print: sentences, tables and progress."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from jsisnet.formats.files import replacing

out = Console(markup=False, highlight=False, emoji=False)
"""Standard output, for results."""

_err = Console(markup=False, highlight=False, emoji=False, stderr=True)

_WIDTH = 160
"""Columns of what is not a terminal, so that tables in files keep all they say."""


def say(sentence: str) -> None:
    """Tell what went wrong, on standard error; a progress bar stays below."""
    sys.stderr.write(f"jsisnet: {sentence}\n")
    sys.stderr.flush()


def display(*results: Table | str) -> None:
    """Print results; an empty line follows each table."""
    if not out.is_terminal:
        out.width = _WIDTH
    for result in results:
        out.print(result, soft_wrap=isinstance(result, str))
        if isinstance(result, Table):
            out.print()


def live_console() -> Console:
    """Give the console for what changes in place: standard output if it is a terminal."""
    return out if out.is_terminal else _err


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar with the time left, on a terminal only.

    Args:
        what: Title of the bar.

    Returns:
        A function to call with the numbers of things done and in total.
    """
    console = live_console()
    bar = Progress(
        TextColumn(what, markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = bar.add_task(what, total=None)
    with bar:
        yield lambda done, total: bar.update(task, completed=done, total=total)


def write_json(values: Mapping[str, object], path: Path) -> None:
    """Write a JSON file, which appears complete or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
