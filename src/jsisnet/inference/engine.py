"""Engines: what runs a network, found through the entry points ``jsisnet.engines``.

An entry point is a function ``open_engine(model, options) -> Engine``. Any package can offer one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from platform import machine, system
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from PIL import Image

from jsisnet.arrays import Float, UInt8
from jsisnet.categories import Categories
from jsisnet.checks import check_choice
from jsisnet.inference.merge import Instances
from jsisnet.inference.model_folder import PredictionConfig
from jsisnet.inference.thresholds import DetectionConfig, ProposalConfig
from jsisnet.lazy import install_hint
from jsisnet.panoptic import PanopticMap

GROUP = "jsisnet.engines"
"""Group of the entry points."""

AUTO = "auto"
"""Name that stands for the best engine, or the best device, that there is."""

GPU_BATCH = 8
"""Images per call on a GPU. On a CPU, batches are no faster."""

PRECISIONS = ("float32", "bfloat16")
"""Types of the network's arithmetic. bfloat16 changes the result, and is faster on some processors
and slower on others; `jsisnet benchmark` measures both."""

Prediction = Literal["semantic", "instances", "panoptic"]
"""Predictions of a network: logits of every label, things, or panoptic maps at once."""

_PREFERRED = {
    "onnxruntime": "jsisnet.inference.exported:open_onnxruntime",
    "torch": "jsisnet.model.engine:open_engine",
}
"""Engines in the order in which ``auto`` tries them on a CPU. They are known without reading the
entry points of all installed packages, which takes 40 ms."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Extras:
    """What an evaluation needs beyond the predictions; an engine may leave it out."""

    detection: DetectionConfig | None = None
    """Thresholds of a second selection of detections, for average precision."""

    proposals: ProposalConfig | None = None
    """Limits of a second selection of proposals, for their recall."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Outputs:
    """What the branches of a network predict for one image; coordinates are those of its input."""

    semantic: Float[np.ndarray, "k gh gw"] | None = None
    """Logits of every label on a grid that spans the input; ``None`` without a semantic branch."""

    instances: Instances | None = None
    """Detected things, best score first; ``None`` without an instance branch."""

    ranked: Instances | None = None
    """Things selected by `Extras.detection`, best score first."""

    proposals: Float[np.ndarray, "p 4"] | None = None
    """Corners of the regions that were classified, best first; only with `Extras.proposals`."""

    ranked_proposals: Float[np.ndarray, "r 4"] | None = None
    """Corners of the regions selected by `Extras.proposals`, best first."""


@runtime_checkable
class Engine(Protocol):
    """A network that is ready to run; calls from several threads are safe."""

    @property
    def name(self) -> str:
        """Name of the entry point."""

    @property
    def device(self) -> str:
        """Device of the network, such as ``cpu`` or ``cuda``."""

    @property
    def config(self) -> PredictionConfig:
        """Size of the input, and rules of the merge."""

    @property
    def categories(self) -> Categories:
        """Classes that the labels refer to."""

    @property
    def predicts(self) -> frozenset[Prediction]:
        """What a call returns for each image."""

    @property
    def batch_size(self) -> int:
        """Number of images per call that suits the device."""

    def __call__(
        self, images: UInt8[np.ndarray, "b h w 3"], extras: Extras | None = None
    ) -> Sequence[Outputs | PanopticMap]:
        """Run the network on RGB images of the size in `config`.

        Returns:
            For each image, what the branches predict, or a panoptic map at once.
        """

    def fingerprint(self) -> str:
        """Return a hash of whatever determines the outputs, weights included."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineOptions:
    """How a network is to run.

    Raises:
        ValueError: If there is no such precision, or the number of threads is no positive integer.
    """

    device: str = AUTO
    """``cpu``, ``cuda``, ``cuda:1``, ``mps``; or ``auto`` for a GPU if there is one."""

    threads: int | None = None
    """Threads of a CPU; ``None`` for one per core that this process may use."""

    precision: str = "float32"
    """Type of the network's arithmetic, one of `PRECISIONS`."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    """Nested values of `PredictionConfig` that win over the model's own."""

    overrides: tuple[str, ...] = ()
    """Command-line options that win over all other settings."""

    def __post_init__(self) -> None:
        if self.threads is not None and not (isinstance(self.threads, int) and self.threads > 0):
            raise ValueError(f"threads is {self.threads!r}; expected an integer, at least 1")
        check_choice("precision", self.precision, PRECISIONS)

    def cpu_threads(self) -> int:
        """Return the number of threads for a CPU."""
        from jsisnet.files.processes import available_cores

        return self.threads or available_cores()


OpenEngine = Callable[[str | Path, EngineOptions], Engine]
"""Open a model; the type of the entry points.

It raises `EngineUnavailableError` if another engine could run the model, and a `ValueError` if the
model is damaged or does not exist.
"""


class EngineUnavailableError(ValueError):
    """An engine can't run a model here; the message says why."""


def open_engine(
    model: str | Path, name: str = AUTO, options: EngineOptions | None = None
) -> Engine:
    """Open a model with an engine.

    Args:
        model: Name of a built-in model, a model or run folder, or an exported network.
        name: Name of an engine; ``auto`` takes the first that can run the model here.
        options: How the network is to run.

    Raises:
        ValueError: If there is no such engine or model, no engine can run it here, a file is
            damaged, or a setting is invalid.
    """
    options = options or EngineOptions()
    if name != AUTO:
        return _load(name)(model, options)
    reasons = []
    for candidate in _candidates(options.device):
        try:
            return _load(candidate)(model, options)
        except EngineUnavailableError as error:
            reasons.append(str(error))
    raise ValueError(f"{model}: no engine can run it here ({'; '.join(reasons)})")


def engine_names() -> tuple[str, ...]:
    """List the engines of all installed packages, whether or not they can run here."""
    return tuple(_entry_points())


def _candidates(device: str) -> list[str]:
    """Return the engines to try in order; with a GPU, PyTorch first."""
    order = list(_PREFERRED)
    if device == AUTO and _has_gpu() and find_spec("torch") is not None:
        order.reverse()
    return order


@cache
def _has_gpu() -> bool:
    """Return whether there is a GPU that PyTorch may support, without importing PyTorch."""
    nvidia = Path("/proc/driver/nvidia/version").exists() or Path("/dev/nvidiactl").exists()
    apple = system() == "Darwin" and machine() == "arm64"
    return nvidia or apple


@cache
def _entry_points() -> dict[str, Any]:
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=GROUP)}


def _entry_point(name: str) -> Any:  # noqa: ANN401 - importing the class takes 40 ms
    known = _entry_points()
    if name not in known:
        near = get_close_matches(name, known, 1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"No engine named {name!r}.{hint} Engines: {', '.join(known)}")
    return known[name]


def _load(name: str) -> OpenEngine:
    """Import an engine.

    Raises:
        EngineUnavailableError: If a library is missing.
        ValueError: If there is no engine of this name.
    """
    try:
        if name in _PREFERRED:
            module, _, function = _PREFERRED[name].partition(":")
            return getattr(import_module(module), function)
        return _entry_point(name).load()
    except (ImportError, OSError, AttributeError) as error:  # a library of C may not be loadable
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        hint = install_hint(f"the engine {name}", missing or "")
        reason = hint or f"the engine {name} can't be imported ({error})"
        raise EngineUnavailableError(reason) from error


def resize(image: UInt8[np.ndarray, "h w 3"], size: tuple[int, int]) -> UInt8[np.ndarray, "H W 3"]:
    """Resize an image to the height and width of a network's input, with antialiasing."""
    if image.shape[:2] == size:
        return image
    height, width = size
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized)
