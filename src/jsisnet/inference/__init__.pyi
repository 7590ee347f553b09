from jsisnet.inference.kirillov import KirillovConfig
from jsisnet.inference.merge import Instances
from jsisnet.inference.predictor import Predictor
from jsisnet.inference.result import PredictedSegment, Result
from jsisnet.inference.rules import MergeConfig

__all__ = [
    "Instances",
    "KirillovConfig",
    "MergeConfig",
    "PredictedSegment",
    "Predictor",
    "Result",
]
