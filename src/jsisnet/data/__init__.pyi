from jsisnet.data.dataset import DataConfig, PanopticDataset
from jsisnet.data.stream import Stream
from jsisnet.data.transforms import TransformConfig

__all__ = ["DataConfig", "PanopticDataset", "Stream", "TransformConfig"]
