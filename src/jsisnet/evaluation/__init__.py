"""Metrics of panoptic maps: panoptic quality, its errors, mean IoU and average precision.

May import `formats` and what lies below it, and no torch; only `metric` needs torch.
Begin with `score_files`, or with `count_matches` for two maps in memory.
"""

from jsisnet.lazy import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, __file__)
