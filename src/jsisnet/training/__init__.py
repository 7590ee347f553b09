"""Training: losses, optimizer, loop, checkpoints and run folders.

May import `model`, `data`, `inference`, `visualize` and what lies below them.
Begin with `train`; `loop` holds the steps and `objective` the losses.
"""

from jsisnet.lazy import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, __file__)
