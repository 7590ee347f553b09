from jsisnet.data.sources import Sources
from jsisnet.data.stream import Stream
from jsisnet.data.transforms import TransformConfig

__all__ = ["Sources", "Stream", "TransformConfig"]
