"""Panoptic segmentation with one network: a class and an instance id for every pixel.

The names below, listed in ``__init__.pyi``, are imported when they are first used.
"""

from jsisnet.lazy import attach as _attach

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = _attach(__name__, __file__)
