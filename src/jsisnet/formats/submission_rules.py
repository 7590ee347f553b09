"""The rules of archives for COCO's panoptic challenge, and the cases in which one breaks them."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

MAX_EXAMPLES = 5
"""Sentences that a fault shows, of however many cases."""


class Rule(StrEnum):
    """What an archive has to comply with."""

    ZIP = "the archive is a whole zip file without passwords"
    PATHS = "every path stays inside the archive and is there once"
    LAYOUT = "the archive holds one JSON file, the folder named like it with PNGs, and nothing else"
    NAMES = "the JSON file is called panoptic_SPLIT_NAME_results.json"
    JSON = "every JSON parser can read the JSON file"
    ENTRIES = "an annotation has image_id, file_name and segments_info with id and category_id"
    IMAGES = "every image of the list has one annotation, and no other image has any"
    FILES = "every annotation has a PNG of its own, and every PNG an annotation"
    PNGS = "a map is a whole PNG with 8-bit RGB pixels"
    SIZES = "a map has the size of its photo"
    IDS = "the ids of the PNG are those of the JSON file, each once"
    CATEGORIES = "a segment has one of the categories"
    STUFF = "an image has at most one segment of a stuff class"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """A rule that an archive breaks."""

    rule: Rule
    """The rule."""

    count: int
    """How often it is broken."""

    examples: tuple[str, ...]
    """The first cases, at most `MAX_EXAMPLES`, one sentence each."""


@dataclass(frozen=True, slots=True)
class Findings:
    """Broken rules so far."""

    counts: Counter[Rule] = field(default_factory=Counter)
    examples: dict[Rule, list[str]] = field(default_factory=dict)

    def add(self, rule: Rule, sentence: str) -> None:
        """Add a case."""
        self.counts[rule] += 1
        shown = self.examples.setdefault(rule, [])
        if len(shown) < MAX_EXAMPLES:
            shown.append(sentence)

    def faults(self) -> tuple[Fault, ...]:
        """Give each broken rule with its cases, in the order of the first ones."""
        return tuple(
            Fault(rule=rule, count=count, examples=tuple(self.examples[rule]))
            for rule, count in self.counts.items()
        )
