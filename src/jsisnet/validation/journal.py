"""Results that are kept one by one in a file, so that work which was stopped can go on."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from jsisnet.validation.examine import Examined
from jsisnet.validation.rules import Case, Rule


@dataclass(frozen=True, kw_only=True, slots=True)
class Journal:
    """Results so far, in their order; going through it reads one after the other."""

    path: Path
    """The file: a line about them all, and one for each."""

    file: BinaryIO
    """The same, open to append."""

    count: int
    """Results that were there when it was opened."""

    def add(self, result: Examined) -> None:
        """Keep a result."""
        values = asdict(result) | {"cases": [[c.rule.name, c.sentence] for c in result.cases]}
        self.file.write(json.dumps(values).encode() + b"\n")
        self.file.flush()

    def __iter__(self) -> Iterator[Examined]:
        with self.path.open("rb") as lines:
            next(lines)
            yield from map(_result, lines)


@contextmanager
def opened(path: Path, purpose: str) -> Iterator[Journal]:
    """Begin a journal, or go on with one that was begun for the same purpose.

    The file goes away when the ``with`` block ends without error.

    Args:
        path: Nobody else may be writing to it.
        purpose: What the results are about; those of another are forgotten.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    first = json.dumps({"purpose": purpose}).encode() + b"\n"
    with path.open("a+b") as file:
        file.seek(0)
        if file.readline() != first:
            file.truncate(0)
            file.write(first)
            file.flush()
        # The last line has no end if it was being written when the process was killed.
        file.seek(0)
        whole = [len(line) for line in file if line.endswith(b"\n")]
        file.truncate(sum(whole))
        yield Journal(path=path, file=file, count=len(whole) - 1)
    path.unlink()


def _result(line: bytes) -> Examined:
    values: dict[str, Any] = json.loads(line)
    cases = tuple(Case(Rule[name], sentence) for name, sentence in values.pop("cases"))
    seen = tuple(values.pop("seen"))
    return replace(Examined(**values), cases=cases, seen=seen)
