"""Output of the commands: messages, tables, progress bars, JSON and CSV files."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jsisnet.files.one_line import csv_cell, one_line

_MAX_NAMES = 10

_MAX_MESSAGE = 20_000
"""Characters of a message, in which a name from a file may have any length."""

STANDARD_OUTPUT = Path("-")
"""Path that stands for standard output."""

_json_output: ContextVar[TextIO] = ContextVar("_json_output")
"""Where the JSON of ``--json -`` goes."""


class _EscapingConsole(Console):
    def render_str(self, text: str, **options: Any) -> Text:  # noqa: ANN401 - rich's own
        """Render a string in one line; cells of several lines are a `Text`."""
        return super().render_str(one_line(text), **options)


out = _EscapingConsole(markup=False, highlight=False, emoji=False)
"""Standard output, for results."""

_err = _EscapingConsole(markup=False, highlight=False, emoji=False, stderr=True)


def say(message: str) -> None:
    """Print a message of one line to standard error; a progress bar stays below it."""
    if len(message) > _MAX_MESSAGE:
        message = f"{message[: _MAX_MESSAGE // 2]} ... {message[-_MAX_MESSAGE // 2 :]}"
    sys.stderr.write(f"jsisnet: {one_line(message)}\n")
    sys.stderr.flush()


def display(*results: Table | str) -> None:
    """Print tables, and strings of one line, to standard output; after a table, an empty line."""
    for result in results:
        if out.is_terminal:
            out.print(result, soft_wrap=isinstance(result, str))
        elif isinstance(result, str):
            sys.stdout.write(f"{one_line(result)}\n")
        else:
            sys.stdout.write(_plain(result))
        if isinstance(result, Table):
            sys.stdout.write("\n")
            sys.stdout.flush()


def join_names(names: Sequence[str]) -> str:
    """Join names with commas; of a long list only the first ones."""
    more = len(names) - _MAX_NAMES
    return ", ".join(names[:_MAX_NAMES]) + (f" and {more:,} more" if more > 0 else "")


def live_console() -> Console:
    """Return the console for live displays: standard output if it is a terminal."""
    return out if out.is_terminal else _err


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show a progress bar with the time left, if there is a terminal.

    Args:
        what: Title of the bar.

    Yields:
        Function that sets the number of finished items and their total, if it is known.
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


@contextmanager
def json_to_output() -> Iterator[None]:
    """Keep standard output for the JSON of ``--json -``; all else goes to standard error."""
    token = _json_output.set(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _json_output.reset(token)


def write_json(values: Mapping[str, object], path: Path) -> None:
    """Write a JSON file atomically, or print it if the path is ``-``; see `json_to_output`."""
    import json

    from jsisnet.files.atomic import replacing

    text = json.dumps(values, indent=1) + "\n"
    if path == STANDARD_OUTPUT:
        stream = _json_output.get(sys.stdout)
        stream.write(text)
        stream.flush()
        return
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_csv(rows: Iterable[Mapping[str, object]], columns: Sequence[str], path: Path) -> None:
    """Write a CSV file atomically; missing values are empty, and no cell is a formula."""
    import csv

    from jsisnet.files.atomic import replacing

    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows({key: csv_cell(value) for key, value in row.items()} for row in rows)


def _plain(table: Table) -> str:
    """Format a table as rich does for a wide terminal, in a tenth of the time."""
    columns = []
    for column in table.columns:
        cells = [
            str(cell) if isinstance(cell, Text) else one_line(str(cell))
            for cell in (column.header, *column.cells)
        ]
        width = max(cell_len(line) for cell in cells for line in cell.split("\n"))
        isright = column.justify == "right"
        columns.append([_padded(cell.split("\n"), width, isright=isright) for cell in cells])
    head, *rows = (
        "   ".join(line) for cells in zip(*columns, strict=True) for line in _lines(cells)
    )
    return "\n".join([head, "\N{BOX DRAWINGS LIGHT HORIZONTAL}" * cell_len(head), *rows, ""])


def _padded(lines: Sequence[str], width: int, *, isright: bool) -> list[str]:
    """Fill up the lines of a cell with spaces."""
    spaces = [" " * (width - cell_len(line)) for line in lines]
    pairs = zip(lines, spaces, strict=True)
    return [space + line if isright else line + space for line, space in pairs]


def _lines(cells: Sequence[Sequence[str]]) -> Iterator[tuple[str, ...]]:
    """Yield the lines of a row whose cells have different numbers of lines."""
    for number in range(max(map(len, cells))):
        yield tuple(
            cell[number] if number < len(cell) else " " * cell_len(cell[0]) for cell in cells
        )
