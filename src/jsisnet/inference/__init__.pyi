from jsisnet.inference.batch import BatchConfig, predict_photos
from jsisnet.inference.engine import (
    Engine,
    EngineOptions,
    EngineUnavailableError,
    Outputs,
    open_engine,
)
from jsisnet.inference.hub import push_to_hub
from jsisnet.inference.kirillov import KirillovConfig
from jsisnet.inference.merge import Instances
from jsisnet.inference.model_folder import PredictionConfig
from jsisnet.inference.photo_files import Photo, find_photos
from jsisnet.inference.photo_job import OutputConfig
from jsisnet.inference.predictor import Predictor
from jsisnet.inference.result import PredictedSegment, Result
from jsisnet.inference.rules import MergeConfig
from jsisnet.inference.tiles import TileConfig

__all__ = [
    "BatchConfig",
    "Engine",
    "EngineOptions",
    "EngineUnavailableError",
    "Instances",
    "KirillovConfig",
    "MergeConfig",
    "OutputConfig",
    "Outputs",
    "Photo",
    "PredictedSegment",
    "PredictionConfig",
    "Predictor",
    "Result",
    "TileConfig",
    "find_photos",
    "open_engine",
    "predict_photos",
    "push_to_hub",
]
