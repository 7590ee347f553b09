"""Panoptic maps of photos: the predictor, and the merge of instances and stuff.

May import `evaluation`, `datatools`, `formats` and what lies below them.
Begin with `Predictor`; `merge` is the paper's heuristic, `kirillov` the usual one.
"""

from jsisnet.lazy import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, __file__)
