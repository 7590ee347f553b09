"""Settings by which an instance branch selects proposals and detections."""

from dataclasses import dataclass

from jsisnet.checks import check_fractions, check_ranges


@dataclass(frozen=True, kw_only=True, slots=True)
class ProposalConfig:
    """Limits of the region proposals."""

    max_candidates: int = 6000
    """Number of anchors per image, best first, that enter non-maximum suppression."""

    max_overlap: float = 0.5
    """IoU above which non-maximum suppression drops the proposal of lower objectness."""

    max_proposals: int = 1000
    """Maximum number of proposals per image."""

    def __post_init__(self) -> None:
        check_ranges(self, "", max_candidates=(1, 1_000_000), max_proposals=(1, 100_000))
        check_fractions(self, "max_overlap")


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectionConfig:
    """Thresholds of the detections among classified proposals."""

    min_score: float = 0.5
    """Minimum softmax score of a thing class."""

    max_overlap: float = 0.4
    """IoU above which non-maximum suppression drops the box with the lower score."""

    one_class_per_region: bool = True
    """Whether each proposal yields its best class only, with suppression across classes, which
    suits the merge. Otherwise it yields every class, with suppression within each class, which
    suits average precision."""

    max_detections: int = 300
    """Detections kept per image."""

    def __post_init__(self) -> None:
        check_ranges(self, "", max_detections=(1, 100_000))
        check_fractions(self, "min_score", "max_overlap")
