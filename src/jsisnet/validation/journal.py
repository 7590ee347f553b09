"""Results that are kept one by one in a file, so that work which was stopped can go on."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from jsisnet.datatools.check.image import Examined
from jsisnet.datatools.check.rules import Case, Rule
from jsisnet.files import journal
from jsisnet.files.json_fields import Entry


@dataclass(frozen=True, slots=True)
class Journal:
    """Results so far, in their order; going through it reads one after the other."""

    lines: journal.Journal
    """The file."""

    @property
    def count(self) -> int:
        """Count the results."""
        return self.lines.count

    def add(self, result: Examined) -> None:
        """Keep a result."""
        cases = [[case.rule.name, case.sentence] for case in result.cases]
        self.lines.add(asdict(result) | {"cases": cases})

    def __iter__(self) -> Iterator[Examined]:
        return map(_result, self.lines)


@contextmanager
def opened(path: Path, purpose: str) -> Iterator[Journal]:
    """Begin a journal, or go on with one that was begun for the same purpose.

    The file goes away when the ``with`` block ends without error.

    Args:
        path: Nobody else may be writing to it.
        purpose: What the results are about; those of another are forgotten.
    """
    with journal.opened(path, purpose, forgets=True) as lines:
        yield Journal(lines)
    path.unlink()


def _result(line: Entry) -> Examined:
    values: dict[str, Any] = dict(line)
    cases = tuple(Case(Rule[name], sentence) for name, sentence in values.pop("cases"))
    seen = tuple(values.pop("seen"))
    return replace(Examined(**values), cases=cases, seen=seen)
