from jsisnet.evaluation.compare import Comparison, compare_results
from jsisnet.evaluation.errors import SegmentError, segment_errors
from jsisnet.evaluation.matching import Matching, match
from jsisnet.evaluation.metric import PanopticQualityMetric
from jsisnet.evaluation.panoptic_quality import ImageQuality, PanopticQuality, count_matches
from jsisnet.evaluation.results import Result, read_result
from jsisnet.evaluation.score import Score, score_files
from jsisnet.evaluation.semantic_iou import SemanticIoU

__all__ = [
    "Comparison",
    "ImageQuality",
    "Matching",
    "PanopticQuality",
    "PanopticQualityMetric",
    "Result",
    "Score",
    "SegmentError",
    "SemanticIoU",
    "compare_results",
    "count_matches",
    "match",
    "read_result",
    "score_files",
    "segment_errors",
]
