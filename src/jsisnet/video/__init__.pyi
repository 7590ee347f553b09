from jsisnet.video.clips import Clip, is_clip
from jsisnet.video.identity import Identities, IdentityConfig
from jsisnet.video.job import ClipListener, ClipSummary, VideoConfig, predict_clip
from jsisnet.video.reading import ClipReader, Frame, Selection
from jsisnet.video.writing import ClipWriter

__all__ = [
    "Clip",
    "ClipListener",
    "ClipReader",
    "ClipSummary",
    "ClipWriter",
    "Frame",
    "Identities",
    "IdentityConfig",
    "Selection",
    "VideoConfig",
    "is_clip",
    "predict_clip",
]
