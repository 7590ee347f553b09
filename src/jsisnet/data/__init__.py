"""Training data: from the files of a data set to batches of tensors.

May import `formats` and what lies below it, and torch.
Begin with `PanopticDataset`; `stream` decides which image comes at which step.
"""

from jsisnet.lazy import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, __file__)
