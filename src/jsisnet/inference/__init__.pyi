from jsisnet.inference.kirillov import KirillovConfig
from jsisnet.inference.predictor import Predictor
from jsisnet.inference.rules import MergeConfig

__all__ = ["KirillovConfig", "MergeConfig", "Predictor"]
