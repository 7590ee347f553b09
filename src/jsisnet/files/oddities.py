"""What is odd in a file that can be used all the same: counted, and logged as warnings."""

import logging
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Oddities:
    """Oddities of one file by kind, with the first example of each."""

    counts: Counter[str] = field(default_factory=Counter)
    """Number of cases of each kind."""

    examples: dict[str, str] = field(default_factory=dict)
    """First case of each kind."""

    def add(self, kind: str, example: str) -> None:
        """Count a case.

        Args:
            kind: What is odd and what was done about it, such as ``ignored an unreadable 'color'``.
            example: Where, and what was found.
        """
        self.counts[kind] += 1
        self.examples.setdefault(kind, example)

    def log(self, path: Path) -> None:
        """Log a warning for each kind, which the commands print.

        Args:
            path: The file.
        """
        for kind, count in self.counts.items():
            cases = "" if count == 1 else f" ({count:,} cases)"
            _log.warning("%s: %s%s: %s", path, kind, cases, self.examples[kind])
