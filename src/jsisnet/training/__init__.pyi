from jsisnet.training.config import RunConfig, TrainConfig, read_config
from jsisnet.training.trainer import train

__all__ = ["RunConfig", "TrainConfig", "read_config", "train"]
