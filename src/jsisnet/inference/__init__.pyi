from jsisnet.inference.engine import (
    Engine,
    EngineOptions,
    EngineUnavailableError,
    Outputs,
    open_engine,
)
from jsisnet.inference.kirillov import KirillovConfig
from jsisnet.inference.merge import Instances
from jsisnet.inference.model_folder import PredictionConfig
from jsisnet.inference.predictor import Predictor
from jsisnet.inference.result import PredictedSegment, Result
from jsisnet.inference.rules import MergeConfig

__all__ = [
    "Engine",
    "EngineOptions",
    "EngineUnavailableError",
    "Instances",
    "KirillovConfig",
    "MergeConfig",
    "Outputs",
    "PredictedSegment",
    "PredictionConfig",
    "Predictor",
    "Result",
    "open_engine",
]
