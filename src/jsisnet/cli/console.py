"""What the commands print: sentences, tables and progress."""

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jsisnet.files.atomic import replacing

_COMMANDS = {
    code: ascii(chr(code))[1:-1]
    for code in (
        *range(10),
        *range(11, 32),
        *range(127, 160),
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
    )
}
"""Characters that a terminal obeys, also to turn the direction of a text, and how they are shown:
names in anybody's files may hold them."""


_MOST_NAMES = 10


class _Visible(Console):
    def render_str(self, text: str, **options: Any) -> Text:  # noqa: ANN401 - rich's own
        """Show what a terminal would obey."""
        return super().render_str(text.translate(_COMMANDS), **options)


out = _Visible(markup=False, highlight=False, emoji=False)
"""Standard output, for results."""

_err = _Visible(markup=False, highlight=False, emoji=False, stderr=True)


def say(sentence: str) -> None:
    """Tell what went wrong, on standard error; a progress bar stays below."""
    sys.stderr.write(f"jsisnet: {sentence.translate(_COMMANDS)}\n")
    sys.stderr.flush()


def display(*results: Table | str) -> None:
    """Print results; an empty line follows each table."""
    for result in results:
        if out.is_terminal:
            out.print(result, soft_wrap=isinstance(result, str))
        elif isinstance(result, str):
            sys.stdout.write(f"{result.translate(_COMMANDS)}\n")
        else:
            sys.stdout.write(_plain(result))
        if isinstance(result, Table):
            sys.stdout.write("\n")
            sys.stdout.flush()


def listed(names: Sequence[str]) -> str:
    """Join names, of many the first ones."""
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")


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
    if not console.is_terminal:
        yield lambda *_: None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn(what, markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    task = bar.add_task(what, total=None)
    with bar:
        yield lambda done, total: bar.update(task, completed=done, total=total)


def write_json(values: Mapping[str, object], path: Path) -> None:
    """Write a JSON file, which appears complete or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def write_csv(rows: Iterable[Mapping[str, object]], columns: Sequence[str], path: Path) -> None:
    """Write a table, which appears complete or not at all; what has no value is empty."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def _plain(table: Table) -> str:
    """Write a table as rich does for a wide terminal; large ones take a tenth of the time so."""
    columns = []
    for column in table.columns:
        cells = [str(cell).translate(_COMMANDS) for cell in (column.header, *column.cells)]
        width = max(map(cell_len, cells))
        spaces = [" " * (width - cell_len(cell)) for cell in cells]
        pairs = zip(cells, spaces, strict=True)
        isright = column.justify == "right"
        columns.append([space + cell if isright else cell + space for cell, space in pairs])
    head, *rows = ("   ".join(line) for line in zip(*columns, strict=True))
    return "\n".join([head, "\N{BOX DRAWINGS LIGHT HORIZONTAL}" * cell_len(head), *rows, ""])
