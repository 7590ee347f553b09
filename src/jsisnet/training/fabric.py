"""Lightning Fabric, imported without torchmetrics.

Fabric imports torchmetrics only to compare its version, which takes longer than to import PyTorch;
while Fabric is imported, an empty module stands in.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType


class _Unused(ModuleType):
    """Module in place of a package, which is imported after all if anything of it is used."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)


@contextmanager
def _without_importing(package: str) -> Iterator[None]:
    """Let imports of a package find an empty module, unless it is imported already."""
    if package in sys.modules:
        yield
        return
    stand_in = sys.modules[package] = _Unused(package)
    try:
        yield
    finally:
        if sys.modules.get(package) is stand_in:
            del sys.modules[package]


with _without_importing("torchmetrics"):
    from lightning_fabric import Fabric
    from lightning_fabric.plugins import MixedPrecision
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
    from lightning_fabric.strategies.ddp import DDPStrategy
    from lightning_fabric.utilities.rank_zero import rank_zero_only

__all__ = [
    "DDPStrategy",
    "Fabric",
    "MixedPrecision",
    "SLURMEnvironment",
    "TorchElasticEnvironment",
    "rank_zero_only",
]
