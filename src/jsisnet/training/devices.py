"""The processes and devices that a training runs on."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import parent_process
from subprocess import TimeoutExpired
from typing import Literal, TypeVar

import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins import MixedPrecision
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.fabric.strategies.ddp import DDPStrategy
from torch import distributed

from jsisnet.files.processes import most_memory

Data = TypeVar("Data")

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
"""Numbers that a network is trained with."""

_PATIENCE = 3
"""Seconds in which a process that is told to end may do so by itself. One that waits for another
can't, and the first process alone has files to finish."""


class LostProcessError(ValueError):
    """Another process of the training has ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceConfig:
    """Where a training runs, and in how many pieces.

    Its results do not depend on it, but for rounding, and for batch normalisation, whose statistics
    are those of the photos that a device sees at once. Under torchrun or SLURM, `count` and `nodes`
    are the launcher's.
    """

    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    """Kind of device; ``auto`` for GPUs if there are any."""

    count: int = 1
    """Devices of each node, each with a process of its own; 0 for all its GPUs."""

    nodes: int = 1
    """Computers that train together."""

    accumulate: int = 1
    """Parts in which a device goes through its photos of a step, to need less memory."""

    compile: bool = False
    """Whether trunk and semantic branch are compiled by torch; the first steps take minutes."""

    def __post_init__(self) -> None:
        for name, least in {"count": 0, "nodes": 1, "accumulate": 1}.items():
            if getattr(self, name) < least:
                raise ValueError(
                    f"devices.{name} is {getattr(self, name)}; expected {least} or more"
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """What a `DeviceConfig` comes to on this machine, or a launcher has decided."""

    accelerator: Literal["cpu", "cuda"]
    count: int
    nodes: int

    @classmethod
    def of(cls, config: DeviceConfig) -> "Layout":
        """Look at the machine.

        Raises:
            ValueError: If it has no such devices.
        """
        gpus = torch.cuda.device_count()
        accelerator = config.accelerator
        if accelerator == "auto":
            accelerator = "cuda" if gpus else "cpu"
        count, nodes = _launched() or (config.count or max(gpus, 1), config.nodes)
        if accelerator == "cuda" and count > gpus:
            raise ValueError(f"{count} GPUs are asked for, but there are {gpus} here")
        return cls(accelerator=accelerator, count=count, nodes=nodes)

    @property
    def devices(self) -> int:
        """Devices of all nodes."""
        return self.count * self.nodes


def fabric(layout: Layout, precision: Precision) -> Fabric:
    """Give the device of this process, and its way to speak with the others.

    The other processes are begun by its `launch`, which runs the same command again for each.

    Raises:
        ValueError: If the device can't compute with the precision, or nothing says where the other
            computers are.
    """
    if precision == "16-mixed" and layout.accelerator == "cpu":
        raise ValueError("train.precision is 16-mixed on a CPU; expected bf16-mixed or 32-true")
    addressed = {"MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys()
    if layout.nodes > 1 and _launched() is None and not addressed:
        raise ValueError(
            f"devices.nodes is {layout.nodes}, but nothing says where the others are; expected "
            "torchrun or srun to begin the processes"
        )
    mixed = None if precision == "32-true" else _MixedPrecision(precision, layout.accelerator)
    return Fabric(
        accelerator=layout.accelerator,
        devices=layout.count,
        num_nodes=layout.nodes,
        strategy=DDPStrategy() if layout.devices > 1 else "auto",
        plugins=mixed,
    )


@contextmanager
def launched(fabric: Fabric) -> Iterator[None]:
    """Begin the other processes; after an error, none that this process has begun is left.

    Raises:
        LostProcessError: If another process has ended.
    """
    fabric.launch()
    try:
        yield
    except BaseException as error:
        _end_others(fabric)
        if isinstance(error, distributed.DistError) or "gloo" in str(error):
            raise LostProcessError("another process of the training has ended") from error
        raise


def end_with_parent(worker: int = 0) -> None:  # noqa: ARG001 - as a DataLoader calls it
    """Let this process end at once when the one that began it is killed.

    By itself, a worker of torch's, which prepares photos, looks after it every five seconds.
    """
    threading.Thread(target=_outlive_parent_by_nothing, daemon=True).start()


def gathered(item: Data, fabric: Fabric) -> list[Data]:
    """Give the items of all processes, in their order."""
    if fabric.world_size == 1:
        return [item]
    items: list[Data | None] = [None] * fabric.world_size
    distributed.all_gather_object(items, item)
    return [each for each in items if each is not None]


def peak_memory(device: torch.device) -> float:
    """Give the most memory that this process has needed so far, in megabytes: the GPU's or its own.

    Not of the processes that prepare photos.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return most_memory()


def _outlive_parent_by_nothing() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _end_others(fabric: Fabric) -> None:
    """End the processes that this one has begun; what waits for lost ones may have to be killed."""
    begun = getattr(fabric.strategy.launcher, "procs", [])
    others = list(begun)
    # Of those in the list, a thread of Lightning's avenges the first to end by killing all.
    begun.clear()
    for process in others:
        process.terminate()
    for process in others:
        try:
            process.wait(_PATIENCE)
        except TimeoutExpired:
            process.kill()
            process.wait()


class _MixedPrecision(MixedPrecision):
    """Fabric's, but the batch stays as it is: half a precision would move boxes by whole pixels."""

    def convert_input(self, data: Data) -> Data:
        return data

    def convert_output(self, data: Data) -> Data:
        return data


def _launched() -> tuple[int, int] | None:
    """Give the processes of each node, and the nodes, that a launcher has begun, if one has."""
    if TorchElasticEnvironment.detect():
        return int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["GROUP_WORLD_SIZE"])
    if SLURMEnvironment.detect():
        nodes = int(os.environ.get("SLURM_NNODES", "1"))
        return int(os.environ["SLURM_NTASKS"]) // nodes, nodes
    return None
