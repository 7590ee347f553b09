"""What may be wrong with the entries of an instances file, and how it is told."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum


class Fault(Enum):
    """A kind of fault, and whether files that have it are read all the same."""

    IMAGE = "invalid images", False
    LINK = "images that are symbolic links out of the given folders", False
    IMAGE_ID = "images with the id of an earlier one", False
    IMAGE_AGAIN = "images that are listed again with the same file and size, left out", True
    ENTRY = "invalid annotations", False
    UNLISTED = "annotations of images that are not listed or invalid", False
    CATEGORY = "annotations of categories that are not listed", False
    NO_OUTLINE = "annotations without an outline", False
    OUTLINE = "annotations with an outline that can't be read", False
    NOTHING = "annotations without outline and area, left out", True
    CROWD = "annotations whose 'iscrowd' is neither 0 nor 1", True
    ID = "annotations with a missing or duplicate id", True
    PART = "outlines of a point or a line, which have no area, left out", True
    FORM = "annotations whose outline has an unusual form", True

    def __init__(self, problem: str, tolerated: bool):
        self.problem = problem
        """What is counted."""
        self.tolerated = tolerated
        """Whether the file is read without `keep_going`."""


class FaultError(ValueError):
    """An entry that cannot be used."""

    def __init__(self, fault: Fault, message: str):
        super().__init__(message)
        self.fault = fault


OnFault = Callable[[Fault, str], object]
"""Called with each fault, and a message that says where it is."""


@dataclass(frozen=True, slots=True)
class FaultCounter:
    """Counts faults by kind and keeps the first message of each."""

    counts: Counter[Fault] = field(default_factory=Counter)
    examples: dict[Fault, str] = field(default_factory=dict)

    def add(self, fault: Fault, message: str) -> None:
        """Count a fault."""
        self.counts[fault] += 1
        self.examples.setdefault(fault, message)

    def refuse(self) -> None:
        """Raise one `ValueError` about all faults that are not tolerated, if there are any."""
        found = [self._text(fault) for fault in Fault if not fault.tolerated and self.counts[fault]]
        if found:
            raise ValueError(
                f"{'; '.join(found)}; --keep-going (in YAML, keep_going: true) leaves them out"
            )

    def warnings(self) -> tuple[str, ...]:
        """Return a sentence for each kind of fault, counted and with its first case."""
        return tuple(
            self._text(fault) if fault.tolerated else f"left out: {self._text(fault)}"
            for fault in Fault
            if self.counts[fault]
        )

    def _text(self, fault: Fault) -> str:
        return f"{fault.problem} ({self.counts[fault]:,}), such as {self.examples[fault]}"
