"""Lightning Fabric, imported without torchmetrics.

Fabric imports torchmetrics only to compare its version, which takes longer than to import PyTorch;
while Fabric is imported, a module with nothing but a version stands in.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType


@contextmanager
def _version_alone(package: str) -> Iterator[None]:
    """Let imports of a package find nothing but its version, unless it is imported already."""
    stand_in = ModuleType(package)
    try:
        stand_in.__version__ = version(package)  # type: ignore[attr-defined]
    except PackageNotFoundError:
        yield
        return
    found = sys.modules.setdefault(package, stand_in)
    try:
        yield
    finally:
        if found is stand_in:
            del sys.modules[package]


with _version_alone("torchmetrics"):
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
