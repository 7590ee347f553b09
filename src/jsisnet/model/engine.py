"""Engine for networks in PyTorch."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from jsisnet.arrays import Float32, UInt8
from jsisnet.categories import Categories
from jsisnet.inference.engine import (
    AUTO,
    GPU_BATCH,
    EngineOptions,
    EngineUnavailableError,
    Extras,
    Outputs,
    Prediction,
)
from jsisnet.inference.merge import Instances
from jsisnet.inference.model_folder import WEIGHTS, PredictionConfig, SelectionConfig, find
from jsisnet.model import network as networks
from jsisnet.model import saved_model
from jsisnet.model.detection import Detections
from jsisnet.model.folding import folded
from jsisnet.model.network import JSISNet
from jsisnet.model.rpn import Proposals, propose
from jsisnet.model.saved_model import SavedModel


class TorchEngine:
    """A network that PyTorch runs."""

    def __init__(
        self,
        model: SavedModel,
        *,
        device: str | torch.device = "cpu",
        precision: str = "float32",
        compiled: bool = False,
    ) -> None:
        """Prepare a network for prediction.

        Args:
            model: Network, with its classes and settings. The engine works on a copy.
            device: Device the network runs on.
            precision: Type of the arithmetic; bfloat16 by autocast.
            compiled: Whether to compile trunk and semantic branch, which takes about two minutes.

        Raises:
            ValueError: If the device can't be used here.
        """
        self._device = usable_device(device)
        self._model = model
        self._arguments: dict[str, object] = {
            "device": device,
            "precision": precision,
            "compiled": compiled,
        }
        self.name = "torch-compile" if compiled else "torch"
        self.device = str(self._device)
        self.config = PredictionConfig(
            size=model.config.size,
            network=SelectionConfig(
                proposals=model.config.network.proposals, detection=model.config.network.detection
            ),
            merge=model.config.merge,
        )
        self.categories: Categories = model.categories
        self.batch_size = 1 if self._device.type == "cpu" else GPU_BATCH
        self.network: JSISNet = folded(model.network).to(self._device)
        self._precision = precision
        if compiled:
            for module in (self.network.trunk, self.network.semantic):
                if module is not None:
                    module.compile()

    def __getstate__(self) -> tuple[SavedModel, dict[str, object]]:
        return self._model, self._arguments

    def __setstate__(self, state: tuple[SavedModel, dict[str, object]]) -> None:
        model, arguments = state
        self.__init__(model, **arguments)  # type: ignore[misc]

    @property
    def predicts(self) -> frozenset[Prediction]:
        """Predictions of the branches that the network has."""
        branches: dict[Prediction, object] = {
            "semantic": self.network.semantic,
            "instances": self.network.instance,
        }
        return frozenset(name for name, branch in branches.items() if branch is not None)

    @torch.inference_mode()
    def __call__(
        self, images: UInt8[np.ndarray, "b h w 3"], extras: Extras | None = None
    ) -> list[Outputs]:
        """Run the network on images of the size in `config`; see `Engine`."""
        pixels = torch.from_numpy(images).to(self._device).permute(0, 3, 1, 2).float() / 255
        with self._autocast():
            outputs = self.network(pixels)
            ranked, proposed = self._select_again(outputs, extras or Extras())
        return [_outputs_of(i, outputs, ranked, proposed) for i in range(len(images))]

    def fingerprint(self) -> str:
        """Return a hash of settings and weights; see `Engine`."""
        digest = sha256(f"{self.name} {self._precision} {asdict(self._model.config)}".encode())
        for name, value in self._model.network.state_dict().items():
            digest.update(name.encode())
            digest.update(value.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def _autocast(self) -> AbstractContextManager[object]:
        if self._precision == "float32":
            return nullcontext()
        return torch.autocast(self._device.type, torch.bfloat16)

    def _select_again(
        self, outputs: networks.Outputs, extras: Extras
    ) -> tuple[Detections | None, Proposals | None]:
        """Select detections and proposals by the settings of an evaluation."""
        branch, candidates, proposals = (
            self.network.instance,
            outputs.candidates,
            outputs.proposals,
        )
        if branch is None or candidates is None or proposals is None:
            return None, None
        ranked = proposed = None
        if extras.detection is not None:
            ranked = branch.detections(candidates, proposals, extras.detection)
        if extras.proposals is not None:
            proposed = propose(
                candidates.objectness,
                candidates.anchor_deltas,
                candidates.anchors,
                candidates.size,
                extras.proposals,
                candidates.counts,
            )
        return ranked, proposed


def open_engine(model: str | Path, options: EngineOptions) -> TorchEngine:
    """Open a model folder with PyTorch."""
    return _open(model, options, compiled=False)


def open_compiled(model: str | Path, options: EngineOptions) -> TorchEngine:
    """Open a model folder with PyTorch's compiler."""
    return _open(model, options, compiled=True)


def usable_device(name: str | torch.device) -> torch.device:
    """Return a device on which this machine can compute.

    Args:
        name: Name of a device; ``auto`` for a GPU if there is one.

    Raises:
        ValueError: If there is no such device.
    """
    if name == AUTO:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device is {name!r}, which can't be used here: {reason}") from error
    return device


def _open(model: str | Path, options: EngineOptions, *, compiled: bool) -> TorchEngine:
    path = find(model)
    if path.is_file():
        raise EngineUnavailableError("torch needs a model folder, not an exported network")
    if not (path / WEIGHTS).is_file():
        raise EngineUnavailableError(f"{path} has no {WEIGHTS}, which torch needs")
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    return TorchEngine(
        saved_model.read(path, options.overrides, options.settings),
        device=options.device,
        precision=options.precision,
        compiled=compiled,
    )


def _outputs_of(
    index: int,
    outputs: networks.Outputs,
    ranked: Detections | None,
    proposed: Proposals | None,
) -> Outputs:
    """Return what was predicted for one image of a batch."""
    found, own = outputs.detections, outputs.proposals
    return Outputs(
        semantic=None if outputs.semantic is None else _array(outputs.semantic[index]),
        instances=None if found is None else _instances(found, index),
        ranked=None if ranked is None else _instances(ranked, index),
        proposals=None if own is None or proposed is None else _array(own.of_image(index)),
        ranked_proposals=None if proposed is None else _array(proposed.of_image(index)),
    )


def _array(values: Tensor) -> Float32[np.ndarray, "..."]:
    return values.detach().float().cpu().numpy()


def _instances(detections: Detections, index: int) -> Instances:
    """Return the detections of one image of a batch, without padding."""
    valid = detections.valid[index]
    return Instances(
        boxes=_array(detections.boxes[index][valid]),
        labels=detections.labels[index][valid].cpu().numpy(),
        scores=_array(detections.scores[index][valid]),
        masks=_array(detections.masks[index][valid]),
    )
