"""Data sets and predictions of every supported format, as panoptic maps.

May import `files` and the ground modules only.
Begin with `open_dataset`, which opens every format as a `Source` of `Record`s.
"""

from jsisnet.lazy import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, __file__)
