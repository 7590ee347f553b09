"""JSIS-Net as torch modules, from the image to the outputs of both branches.

May import the ground modules and torch.
Begin with `JSISNet` and `NetworkConfig`; one file holds one branch.
"""

from jsisnet.lazy import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, __file__)
