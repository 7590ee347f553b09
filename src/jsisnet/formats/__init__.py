"""Data sets and predictions of every supported format, as panoptic maps.

May import `files` and the ground modules only.
Begin with `Source` and `Record`, which every format is opened as.
"""

from jsisnet._lazy import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, __file__)
