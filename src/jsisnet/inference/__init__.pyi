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
from jsisnet.inference.pseudo_labels import PseudoConfig, pseudo_labelled
from jsisnet.inference.raw_outputs import RawOutputs, collect_outputs
from jsisnet.inference.result import PredictedSegment, Result
from jsisnet.inference.rules import MergeConfig
from jsisnet.inference.tiles import TileConfig
from jsisnet.inference.tuning import TuneConfig, Tuning, tune

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
    "PseudoConfig",
    "RawOutputs",
    "Result",
    "TileConfig",
    "TuneConfig",
    "Tuning",
    "collect_outputs",
    "find_photos",
    "open_engine",
    "predict_photos",
    "pseudo_labelled",
    "push_to_hub",
    "tune",
]
