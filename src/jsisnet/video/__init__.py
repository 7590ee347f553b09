"""Panoptic maps of clips: ids that follow objects from frame to frame, and an annotated video.

May import `inference`, `visualize` and what lies below them, and no torch. Needs the extra `video`.
Begin with `predict_clip`; `Identities` alone follows the segments of any maps.
"""

from jsisnet.lazy import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, __file__)
