"""Devices and processes of a training."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from subprocess import TimeoutExpired
from textwrap import shorten
from typing import Literal, TypeVar

import torch
from torch import distributed

from jsisnet.checks import check_ranges
from jsisnet.files.processes import (
    TERMINATION_TIMEOUT,
    process_peak_memory,
    reuse_large_freed_memory,
)
from jsisnet.training.fabric import (
    DDPStrategy,
    Fabric,
    MixedPrecision,
    SLURMEnvironment,
    TorchElasticEnvironment,
)

Item = TypeVar("Item")

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
"""Numeric precision of a training, in Lightning's names."""


_TORCHRUN = {"count": "--nproc-per-node", "nodes": "--nnodes"}
_SLURM = {"count": "--ntasks-per-node", "nodes": "--nodes"}
"""Options of the launchers."""

_MAX_REASON = 300
"""Most characters of an error of Lightning in a message."""


class LostProcessError(ValueError):
    """Another process of the training has ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceConfig:
    """Devices of a training.

    They do not change its results, except for rounding and for batch normalisation, whose
    statistics are those of the photos that a device processes at once.
    """

    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    """Kind of device; ``auto`` uses GPUs if there are any."""

    count: int | None = None
    """Devices per node, with one process each; 0 for all its GPUs. Default: one, or as many as
    torchrun or SLURM starts."""

    nodes: int | None = None
    """Number of nodes (computers). Default: one, or that of torchrun or SLURM."""

    accumulate: int = 1
    """Micro-batches per device and step, whose gradients are accumulated to save memory."""

    compile: bool = False
    """Whether to compile trunk and semantic branch with torch; the first steps take minutes."""

    def __post_init__(self) -> None:
        check_ranges(self, "devices", count=(0, 1024), nodes=(1, 65_536), accumulate=(1, 65_536))


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceLayout:
    """Devices that a `DeviceConfig` selects on this machine, or a launcher has set."""

    accelerator: Literal["cpu", "cuda"]
    count: int
    """Devices per node."""

    nodes: int

    @classmethod
    def detect(cls, config: DeviceConfig) -> "DeviceLayout":
        """Resolve the configuration on this machine.

        Raises:
            ValueError: If the machine has too few GPUs, or the launcher has started another number
                of processes.
        """
        gpus = torch.cuda.device_count()
        accelerator = config.accelerator
        if accelerator == "auto":
            accelerator = "cuda" if gpus else "cpu"
        count = max(gpus, 1) if config.count == 0 else config.count
        nodes, launcher = config.nodes, _Launcher.detect()
        if launcher is not None:
            _check_same("count", count, launcher.count, launcher)
            _check_same("nodes", nodes, launcher.nodes, launcher)
            count, nodes = launcher.count, launcher.nodes
        count, nodes = count or 1, nodes or 1
        if accelerator == "cuda" and count > gpus:
            raise ValueError(f"devices.count is {count}, but this machine has {gpus} GPUs")
        return cls(accelerator=accelerator, count=count, nodes=nodes)

    @property
    def devices(self) -> int:
        """Total number of devices on all nodes."""
        return self.count * self.nodes


def create_fabric(
    layout: DeviceLayout, precision: Precision, callbacks: Sequence[object] = ()
) -> Fabric:
    """Create the Fabric of this process, which holds device, precision and process group.

    Its `launch` starts the other processes: it runs the same command once per device.

    Args:
        layout: Devices.
        precision: Numeric precision.
        callbacks: Objects whose methods `Fabric.call` calls.

    Raises:
        ValueError: If the device does not support the precision, the address of the other nodes is
            unknown, or Lightning finds a fault in what the launcher has set.
    """
    if precision == "16-mixed" and layout.accelerator == "cpu":
        raise ValueError(
            "train.precision is 16-mixed, which needs a GPU; expected bf16-mixed or 32-true"
        )
    has_address = {"MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys()
    if layout.nodes > 1 and _Launcher.detect() is None and not has_address:
        raise ValueError(
            f"devices.nodes is {layout.nodes}, but MASTER_ADDR and MASTER_PORT are not set; start "
            "the processes with torchrun or srun"
        )
    if layout.accelerator == "cpu":
        reuse_large_freed_memory()
    mixed = None if precision == "32-true" else _MixedPrecision(precision, layout.accelerator)
    with _explaining_lightning():
        return Fabric(
            accelerator=layout.accelerator,
            devices=layout.count,
            num_nodes=layout.nodes,
            strategy=DDPStrategy() if layout.devices > 1 else "auto",
            plugins=mixed,
            callbacks=list(callbacks),
        )


@contextmanager
def process_group(fabric: Fabric) -> Iterator[None]:
    """Launch the other processes; terminate those that this one has started after an error.

    Raises:
        LostProcessError: If another process has ended.
        ValueError: If the processes can't be started, or find no connection.
    """
    try:
        with _explaining_lightning():
            fabric.launch()
        yield
    except BaseException as error:
        _terminate_others(fabric)
        if "/dev/shm" in str(error):
            raise ValueError(
                "the processes can't exchange gradients, as /dev/shm is full; in a container, "
                "allow more shared memory (docker run --shm-size 8g)"
            ) from error
        if isinstance(error, distributed.DistError) or "gloo" in str(error):
            raise LostProcessError("another process of the training has ended") from error
        raise


@contextmanager
def deterministic(*, enabled: bool) -> Iterator[None]:
    """Let PyTorch use deterministic algorithms only, until the block ends.

    Raises:
        ValueError: If the device lacks one that the network needs.
    """
    if not enabled:
        yield
        return
    # cuBLAS reads it once, before its first use.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before, benchmark = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        reason = shorten(str(error).partition(".")[0], _MAX_REASON)
        raise ValueError(f"train.deterministic can't be kept here: {reason}") from error
    finally:
        torch.use_deterministic_algorithms(before)
        torch.backends.cudnn.benchmark = benchmark


def gather(item: Item, fabric: Fabric) -> list[Item]:
    """Gather one object from each process, ordered by rank."""
    if fabric.world_size == 1:
        return [item]
    items: list[Item | None] = [None] * fabric.world_size
    distributed.all_gather_object(items, item)
    return [each for each in items if each is not None]


def peak_memory(device: torch.device) -> float:
    """Return the peak memory of this process in megabytes: on the GPU, or else in RAM.

    Data loader workers are not included.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return process_peak_memory()


def _terminate_others(fabric: Fabric) -> None:
    """Terminate the processes that this one has started, and kill those that do not respond."""
    started = getattr(fabric.strategy.launcher, "procs", [])
    others = list(started)
    # A thread of Lightning kills all processes in this list when one of them ends.
    started.clear()
    for process in others:
        process.terminate()
    for process in others:
        try:
            process.wait(TERMINATION_TIMEOUT)
        except TimeoutExpired:
            process.kill()
            process.wait()


class _MixedPrecision(MixedPrecision):
    """Fabric's plugin without the conversion of the batch: 16 bits would shift boxes by pixels."""

    def convert_input(self, data: Item) -> Item:
        return data

    def convert_output(self, data: Item) -> Item:
        return data


@dataclass(frozen=True, slots=True)
class _Launcher:
    """What has started this process, and others like it."""

    name: str
    options: dict[str, str]
    """Its own options for `count` and `nodes`."""

    count: int
    """Processes per node."""

    nodes: int

    @classmethod
    def detect(cls) -> "_Launcher | None":
        try:
            return cls._of_environment()
        except (KeyError, ValueError, ZeroDivisionError) as error:
            raise ValueError(
                f"the variables that torchrun or SLURM has set can't be read ({error})"
            ) from error

    @classmethod
    def _of_environment(cls) -> "_Launcher | None":
        if TorchElasticEnvironment.detect():
            count, nodes = os.environ["LOCAL_WORLD_SIZE"], os.environ["GROUP_WORLD_SIZE"]
            return cls("torchrun", _TORCHRUN, int(count), int(nodes))
        if SLURMEnvironment.detect():
            nodes = os.environ.get("SLURM_NNODES", "1")
            tasks = int(os.environ["SLURM_NTASKS"])
            return cls("SLURM", _SLURM, tasks // int(nodes), int(nodes))
        return None


def _check_same(name: str, wanted: int | None, started: int, launcher: _Launcher) -> None:
    """Check that a setting agrees with what a launcher has started."""
    if wanted in (None, started):
        return
    unit = {"count": "processes per node", "nodes": "nodes"}[name]
    raise ValueError(
        f"devices.{name} is {wanted}, but {launcher.name} says {started} ({unit}); leave "
        f"--devices.{name} out, or give {launcher.name} {launcher.options[name]} {wanted}"
    )


@contextmanager
def _explaining_lightning() -> Iterator[None]:
    """Report an error of Lightning as one of the devices or the launcher, in its own words."""
    try:
        yield
    except Exception as error:  # Lightning raises errors of any type
        reason = shorten(str(error), _MAX_REASON)
        raise ValueError(f"the devices can't be used as requested: {reason}") from error
