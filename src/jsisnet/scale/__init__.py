"""Prediction, evaluation and scores on Ray clusters, and photos and results in object stores.

May import `inference` and what lies below it.
Begin with `segment_on_cluster`; `Cluster.run` shares any work among actors.
"""

from jsisnet.lazy import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, __file__)
