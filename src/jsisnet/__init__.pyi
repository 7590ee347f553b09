from jsisnet.categories import Categories, Category
from jsisnet.datatools.check.check import check_dataset as check
from jsisnet.evaluation.compare import compare_results as compare
from jsisnet.evaluation.metric import PanopticQualityMetric
from jsisnet.evaluation.score import score_files as score
from jsisnet.files.photos import read_image
from jsisnet.formats.open import open_dataset
from jsisnet.inference.predictor import Predictor
from jsisnet.inference.result import Result
from jsisnet.panoptic import VOID, PanopticMap, Segment
from jsisnet.training.trainer import train
from jsisnet.visualize.overlay import draw

__version__: str

__all__ = [
    "VOID",
    "Categories",
    "Category",
    "PanopticMap",
    "PanopticQualityMetric",
    "Predictor",
    "Result",
    "Segment",
    "__version__",
    "check",
    "compare",
    "draw",
    "open_dataset",
    "read_image",
    "score",
    "train",
]
