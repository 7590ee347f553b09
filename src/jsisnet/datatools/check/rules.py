"""The rules of a data set, and the cases in which one breaks them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, StrEnum


class Severity(StrEnum):
    """What follows from a broken rule."""

    ERROR = "error"
    """Training or scoring stops, or goes wrong."""

    WARNING = "warning"
    """Most likely a mistake."""

    NOTE = "note"
    """Worth knowing."""


class Rule(Enum):
    """What a data set has to comply with, how severe it is, and how a case is repaired."""

    JSON = "error", "the JSON file is whole, an object with images, annotations and categories"
    ENTRY = "error", "an entry has its fields, each of the right kind", "the entry is dropped"
    NUMBER = "error", "every number is finite", "the field is dropped"
    NOTHING = "error", "at least one image has a photo and a segment that can be used"

    CATEGORY_ID = "error", "a category has an id of its own", "the first one stays"
    CATEGORY_NAME = "error", "a category has a name of its own", "its id is put behind it"
    CATEGORY_KIND = "error", "a category says with 'isthing' whether it is a thing"
    CATEGORY_COUNT = "error", "there are at most 255 categories"
    COLOR_SHARED = "warning", "a category has a color of its own", "the first one keeps it"
    COLOR_MISSING = "note", "a category has a color"
    CATEGORY_UNSEEN = "note", "a category has a segment somewhere"

    IMAGE_ID = "error", "an image has an id of its own", "the first one stays"
    IMAGE_NAME = "error", "an image has a photo of its own", "the first one stays"
    IMAGE_SIZE = "warning", "an image states its height and width", "they are taken from the photo"
    PATH = "error", "every file lies inside its folder", "the image is dropped"
    PHOTO_MISSING = "error", "every photo is there", "the image is dropped"
    PHOTO_CASE = (
        "error",
        "the name of a photo is in the right case",
        "it becomes that of the photo",
    )
    PHOTO = "error", "a photo can be read to its end", "the image is dropped"
    PHOTO_SIZE = (
        "error",
        "a photo has the height and width that the JSON file says",
        "they are taken from the photo",
    )
    PHOTO_TURNED = "warning", "no photo is turned by EXIF, which annotations ignore"
    PHOTO_MODE = "note", "a photo has RGB pixels"
    PHOTO_TWICE = "warning", "no two photos have the same pixels"
    PHOTO_LEAKED = "warning", "no photo is in the other data set too"

    UNANNOTATED = "warning", "an image has an annotation"
    UNLISTED = "error", "the image of an annotation is listed", "the annotation is dropped"
    ANNOTATED_TWICE = "error", "an image has one annotation", "the last one stays"
    PNG_MISSING = "error", "every map is there", "the image is dropped"
    PNG_SHARED = "error", "an image has a map of its own", "the first image keeps it"
    PNG = (
        "error",
        "a map is a whole PNG with 8-bit RGB or RGBA pixels",
        "the image is dropped: other colors can't be guessed",
    )
    MAP = "error", "a map keeps the rules of its format"
    PNG_SIZE = "error", "a map has the size of its photo", "the image is dropped"
    PNG_UNLISTED = "error", "every id of a map is listed", "its pixels become void"
    VOID = "warning", "some of an image is not void"

    SEGMENT_ID = (
        "error",
        "the id of a segment is 1 to 16777215",
        "it becomes a free one where its pixels can be told, or else the segment is dropped",
    )
    SEGMENT_TWICE = "error", "a segment is listed once", "the last entry stays"
    SEGMENT_EMPTY = "error", "a segment owns pixels", "the segment is dropped"
    HIDDEN = "warning", "a thing that is outlined is not wholly covered"
    CATEGORY = "error", "the category of a segment is listed", "its pixels become void"
    STUFF_TWICE = "error", "a stuff class has one segment in an image", "the segments are joined"
    CROWD = "error", "only things are crowds", "'iscrowd' becomes 0"
    AREA = "error", "the area of a segment is its number of pixels", "it is counted anew"
    BBOX = "warning", "the bbox of a segment encloses its pixels tightly", "it is measured anew"
    FIELDS = "warning", "a segment states area, bbox and iscrowd", "they are filled in"
    PIXEL = "warning", "a segment has more than one pixel"
    SLIVER = "note", "a segment has 4 pixels or more and is 2 pixels wide and high"
    PIECES = "note", "a thing is in at most 10 pieces"

    def __init__(self, severity: str, sentence: str, repair: str | None = None):
        self.severity = Severity(severity)
        """What follows if it is broken."""
        self.sentence = sentence
        """What is expected."""
        self.repair = repair
        """What a repaired copy has instead; ``None`` if nobody can tell."""

    @property
    def title(self) -> str:
        """Name, as it is shown: ``photo-size``."""
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True)
class Case:
    """One case of a broken rule."""

    rule: Rule
    """The rule."""

    sentence: str
    """Where it is broken, and how."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """A rule that a data set breaks."""

    rule: Rule
    """The rule."""

    count: int
    """How often it is broken."""

    examples: tuple[str, ...]
    """The first cases, one sentence each."""


@dataclass(frozen=True, slots=True)
class Findings:
    """Broken rules so far."""

    most: int
    """Examples of each rule to keep."""
    counts: Counter[Rule] = field(default_factory=Counter)
    examples: dict[Rule, list[str]] = field(default_factory=dict)

    def add(self, cases: Iterable[Case]) -> None:
        """Add cases."""
        for case in cases:
            self.counts[case.rule] += 1
            shown = self.examples.setdefault(case.rule, [])
            if len(shown) < self.most:
                shown.append(case.sentence)

    def faults(self) -> tuple[Fault, ...]:
        """Give each broken rule with its cases, the severest first."""
        severities = list(Severity)
        broken = sorted(
            (rule for rule in Rule if self.counts[rule]),
            key=lambda rule: severities.index(rule.severity),
        )
        return tuple(
            Fault(rule=rule, count=self.counts[rule], examples=tuple(self.examples[rule]))
            for rule in broken
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What is wrong with a data set."""

    images: int
    """Images that could be checked."""

    segments: int
    """Segments of theirs that can be used."""

    faults: tuple[Fault, ...]
    """Broken rules, the severest first."""

    def __repr__(self) -> str:
        errors, warnings = self.count(Severity.ERROR), self.count(Severity.WARNING)
        return f"Report({self.images} images, {errors} errors, {warnings} warnings)"

    def count(self, severity: Severity) -> int:
        """Count the cases of a severity."""
        return sum(fault.count for fault in self.faults if fault.rule.severity is severity)

    @property
    def sound(self) -> bool:
        """Whether there are no errors."""
        return self.count(Severity.ERROR) == 0

    @property
    def repairable(self) -> bool:
        """Whether a repaired copy has no errors."""
        errors = (fault.rule for fault in self.faults if fault.rule.severity is Severity.ERROR)
        return all(rule.repair is not None for rule in errors)

    def summary(self) -> dict[str, object]:
        """Give everything as JSON would."""
        return {
            "images": self.images,
            "segments": self.segments,
            **{f"{severity}s": self.count(severity) for severity in Severity},
            "faults": [
                {
                    "rule": fault.rule.title,
                    "severity": fault.rule.severity.value,
                    "expected": fault.rule.sentence,
                    "repair": fault.rule.repair,
                    "count": fault.count,
                    "examples": list(fault.examples),
                }
                for fault in self.faults
            ],
        }
