from jsisnet.inference.engine import Engine, EngineOptions, Outputs, open_engine
from jsisnet.inference.kirillov import KirillovConfig
from jsisnet.inference.merge import Instances
from jsisnet.inference.predictor import Predictor
from jsisnet.inference.result import PredictedSegment, Result
from jsisnet.inference.rules import MergeConfig

__all__ = [
    "Engine",
    "EngineOptions",
    "Instances",
    "KirillovConfig",
    "MergeConfig",
    "Outputs",
    "PredictedSegment",
    "Predictor",
    "Result",
    "open_engine",
]
