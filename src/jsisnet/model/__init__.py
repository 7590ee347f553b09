"""JSIS-Net as torch modules, from the image to the outputs of both branches.

May import the ground modules and torch.
Begin with `JSISNet` and `NetworkConfig`; one file holds one method.
"""

import os as _os

from jsisnet.lazy import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, __file__)

# OpenMP reads this as torch is imported. Threads that spin while they wait are many times slower on
# a busy machine than a single thread.
_os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
