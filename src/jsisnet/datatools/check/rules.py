"""The rules for data sets, and the report of a check."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, StrEnum

from jsisnet.datatools.violations import RuleViolations


class Severity(StrEnum):
    """How much a violation matters."""

    ERROR = "error"
    """Training or scoring fails or gives wrong results."""

    WARNING = "warning"
    """Probably a mistake."""

    NOTE = "note"
    """Worth knowing."""


class Rule(Enum):
    """Severity of a violation, what is wrong, and what a repaired copy has instead."""

    JSON = "error", "JSON file is damaged or lacks images, annotations or categories"
    ENTRY = "error", "entry lacks a field or has one of the wrong type", "entry dropped"
    QUOTES = "error", "number is written as a string, or an id in two ways", "number written"
    NUMBER = "error", "number is not finite", "field dropped"
    TOLERATED = "warning", "not as the format says, but it can be read"
    NOTHING = "error", "no image has both a photo and a usable segment"

    CATEGORY_ID = "error", "duplicate category id", "first category kept"
    CATEGORY_NAME = "error", "duplicate category name", "id appended to the name"
    CATEGORY_SPARE = "warning", "unused category has the name of another one", "category dropped"
    CATEGORY_ALIKE = "warning", "names of two categories differ only in case or outer spaces"
    CATEGORY_FIELD = "warning", "color or supercategory cannot be read", "field dropped"
    CATEGORY_KIND = "error", "category has no valid 'isthing'"
    CATEGORY_COUNT = "warning", "more than 65,535 categories, too many for a training"
    COLOR_SHARED = "warning", "two categories have the same color", "first category keeps it"
    COLOR_MISSING = "note", "category has no color"
    CROWDS_ONLY = "warning", "class has only crowd segments: nothing to learn or to score"
    CATEGORY_UNSEEN = "note", "category has no segments"

    IMAGE_ID = "error", "duplicate image id", "first image kept"
    IMAGE_AGAIN = "warning", "image is listed again with the same file and size", "first entry kept"
    IMAGE_NAME = "error", "two images use the same photo", "first image kept"
    IMAGE_SIZE = "warning", "image has no height or width", "size taken from the photo"
    LINK_OUT = "error", "symbolic link leads out of the given folders", "image dropped"
    LINK = "note", "photo or map is a symbolic link, or in a linked folder"
    PATH = "error", "path leads outside its folder, or is ambiguous", "image dropped"
    PHOTO_MISSING = "error", "photo file not found", "image dropped"
    PHOTO_PATH = "warning", "photo is listed under another path", "name of the file used"
    PHOTO_NAME = (
        "note",
        "photo is listed in another Unicode form, or as cityscapesScripts does",
        "name of the file used",
    )
    PHOTO_CASE = "error", "photo file name differs in case", "name of the file used"
    PHOTO = "error", "photo cannot be decoded", "image dropped"
    PHOTO_SIZE = "error", "photo does not have the listed size", "size taken from the photo"
    SIZE_SWAPPED = "warning", "height and width are swapped", "size taken from the photo"
    PHOTO_TURNED = "warning", "EXIF rotates the photo, but not its annotation"
    PHOTO_MODE = "note", "photo is not RGB"
    PHOTO_TWICE = "warning", "two photos have identical pixels"
    PHOTO_LEAKED = "warning", "photo is also in the other data set"

    UNANNOTATED = "warning", "image has no annotation"
    UNLISTED = "error", "annotation of an unlisted image", "annotation dropped"
    ANNOTATED_TWICE = "error", "image has more than one annotation", "last annotation kept"
    PNG_MISSING = "error", "map file not found", "image dropped"
    PNG_SHARED = "error", "two images use the same map", "first image keeps it"
    PNG = (
        "error",
        "map is not a complete PNG with 8-bit RGB or RGBA pixels",
        "image dropped, as its ids are lost",
    )
    MAP = "error", "map cannot be read or violates its format"
    PNG_SIZE = "error", "map and photo differ in size", "image dropped"
    PNG_UNLISTED = "error", "map uses ids that are not listed", "their pixels become void"
    VOID = "warning", "image is almost entirely void"

    SEGMENT_ID = (
        "error",
        "segment id is not between 1 and 16777215",
        "valid id assigned if its pixels can be identified, segment dropped otherwise",
    )
    SEGMENT_TWICE = "error", "duplicate segment id", "last entry kept"
    SEGMENT_EMPTY = "error", "segment has no pixels", "segment dropped"
    OUTLINE_MISSING = "error", "object has no outline, at most a box", "object dropped"
    OUTLINE = "error", "outline cannot be read", "object dropped"
    OUTLINE_SIZE = "error", "outlines are of a photo of another size", "image dropped"
    OUTLINE_NOTHING = "warning", "object has neither outline nor area", "object dropped"
    OUTLINE_POINT = "warning", "one outline of several is a point or a line", "point dropped"
    OUTLINE_FORM = "warning", "outline is nested or encoded otherwise than COCO's", "COCO's form"
    OUTLINE_EMPTY = "warning", "outline covers no pixel"
    OUTLINE_CROWD = "warning", "'iscrowd' is neither 0 nor 1, but can be read", "0 or 1 written"
    ANNOTATION_ID = "warning", "annotation has no id of its own", "new id assigned"
    HIDDEN = "warning", "outlined thing is completely covered by others"
    CATEGORY = "error", "segment has an unknown category", "its pixels become void"
    STUFF_TWICE = "error", "stuff class has several segments in an image", "segments merged"
    CROWD = "error", "stuff is marked as a crowd", "'iscrowd' set to 0"
    ISCROWD = "error", "'iscrowd' is neither 0 nor 1", "0 or 1 written"
    AREA = "error", "area is not the number of pixels", "area recomputed"
    BBOX = "warning", "bbox is not the tight box around the pixels", "bbox recomputed"
    FIELDS = "warning", "segment lacks area, bbox or iscrowd", "fields added"
    PIXEL = "warning", "segment is a single pixel"
    SLIVER = "note", "segment has fewer than 4 pixels or is 1 pixel wide or high"
    PIECES = "note", "thing is in more than 10 pieces"

    def __init__(self, severity: str, problem: str, repair: str | None = None):
        self.severity = Severity(severity)
        """How much a violation matters."""
        self.problem = problem
        """What is wrong if the rule is violated."""
        self.repair = repair
        """What a repaired copy has instead; ``None`` if it cannot be repaired automatically."""

    @property
    def id(self) -> str:
        """Id in output and documentation, such as ``photo-size``."""
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True)
class Violation:
    """One violation of a rule."""

    rule: Rule
    """The rule."""

    message: str
    """Where it is violated, and how."""


def sort_by_severity(
    violations: Iterable[RuleViolations[Rule]],
) -> tuple[RuleViolations[Rule], ...]:
    """Sort violations by severity, errors first, and then by the order of the rules."""
    severities, rules = list(Severity), list(Rule)

    def rank(violated: RuleViolations[Rule]) -> tuple[int, int]:
        return severities.index(violated.rule.severity), rules.index(violated.rule)

    return tuple(sorted(violations, key=rank))


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """Result of checking a data set."""

    images: int
    """Number of images that could be checked."""

    segments: int
    """Number of their segments that are usable."""

    violations: tuple[RuleViolations[Rule], ...]
    """Violated rules, errors first."""

    def __repr__(self) -> str:
        errors, warnings = self.count(Severity.ERROR), self.count(Severity.WARNING)
        return f"Report({self.images} images, {errors} errors, {warnings} warnings)"

    def count(self, severity: Severity) -> int:
        """Count the violations of a severity."""
        return sum(each.count for each in self.violations if each.rule.severity is severity)

    @property
    def valid(self) -> bool:
        """Whether there are no errors."""
        return self.count(Severity.ERROR) == 0

    @property
    def repairable(self) -> bool:
        """Whether a repaired copy has no errors."""
        errors = (each.rule for each in self.violations if each.rule.severity is Severity.ERROR)
        return all(rule.repair is not None for rule in errors)

    def summary(self) -> dict[str, object]:
        """Return the report as JSON-compatible values."""
        return {
            "images": self.images,
            "segments": self.segments,
            **{f"{severity}s": self.count(severity) for severity in Severity},
            "faults": [
                {
                    "rule": each.rule.id,
                    "severity": each.rule.severity.value,
                    "problem": each.rule.problem,
                    "repair": each.rule.repair,
                    "count": each.count,
                    "examples": list(each.examples),
                }
                for each in self.violations
            ],
        }
