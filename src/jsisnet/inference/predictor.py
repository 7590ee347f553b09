"""Prediction with a trained network: an image in, a panoptic map out."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from jsisnet.arrays import Int32, UInt8
from jsisnet.categories import Categories
from jsisnet.data.transforms import resize
from jsisnet.files.photos import check_image
from jsisnet.inference import saved_model
from jsisnet.inference.merge import Instances, merge
from jsisnet.inference.raster import Upsampled
from jsisnet.inference.rules import MergeConfig
from jsisnet.inference.saved_model import SavedModel
from jsisnet.model.detection import DetectionConfig, Detections
from jsisnet.model.network import JSISNet, Outputs, SeparateNetworks
from jsisnet.panoptic import PanopticMap


class Predictor:
    """A trained network that segments images of any size."""

    def __init__(
        self,
        model: SavedModel,
        *,
        instances_from: SavedModel | None = None,
        device: str | torch.device = "cpu",
    ):
        """Prepare one network, or one for semantic logits and another for instances.

        Args:
            model: Network, with its classes and settings.
            instances_from: Network that detects the instances instead, as in the paper's Table 3.
                The settings of the merge stay those of `model`.
            device: Device the networks run on.

        Raises:
            ValueError: If the two networks have different classes or input sizes, or lack the
                branch that is needed.
        """
        self.config = model.config
        self.categories: Categories = model.categories
        self.device = _device(device)
        network: JSISNet | SeparateNetworks = model.network
        if instances_from is not None:
            _check_pair(model, instances_from)
            network = SeparateNetworks(model.network, instances_from.network)
        self.network = network.to(self.device).eval()

    @classmethod
    def load(
        cls,
        model: str | Path = "coco",
        *,
        instances_from: str | Path | None = None,
        device: str | torch.device = "cpu",
        overrides: Sequence[str] = (),
        **settings: object,
    ) -> "Predictor":
        """Load a model.

        Args:
            model: Name of a built-in model, or a model or run folder.
            instances_from: Name or folder of a model that detects the instances instead.
            device: Device the network runs on.
            overrides: Command-line options, which win over all other settings.
            settings: Settings that win over the model's own: `size`, and the fields of
                `MergeConfig` and `DetectionConfig`, such as ``min_score=0.3``.

        Raises:
            TypeError: If a setting is unknown.
            ValueError: If the model does not exist, a file is damaged, a setting has an invalid
                value, or two models do not fit together.
        """
        nested = saved_model.nested_settings(settings)
        read = partial(saved_model.read, overrides=tuple(overrides), settings=nested)
        instances = None if instances_from is None else read(instances_from)
        return cls(read(model), instances_from=instances, device=device)

    def __repr__(self) -> str:
        things = len(self.categories.thing_labels)
        height, width = self.config.size
        stuff = len(self.categories) - things
        return (
            f"Predictor({things} thing and {stuff} stuff classes, {height}x{width}, {self.device})"
        )

    def __call__(self, image: UInt8[np.ndarray, "h w 3"]) -> PanopticMap:
        """Segment an RGB image; the map has its size."""
        return self.merge(self.outputs(image), (image.shape[0], image.shape[1]))

    @torch.inference_mode()
    def outputs(self, image: UInt8[np.ndarray, "h w 3"]) -> Outputs:
        """Run the network on an RGB image, resized to the network's input.

        Raises:
            ValueError: If the image is not an array of 8-bit RGB pixels, or is empty.
        """
        check_image(image)
        if not image.size:
            found = f"{image.dtype} of shape {image.shape}"
            raise ValueError(f"the image is {found}; expected uint8 of height x width x 3")
        pixels = torch.from_numpy(np.array(image, order="C")).to(self.device).permute(2, 0, 1)
        resized = resize(pixels, self.config.size)
        return self.network(resized[None].float() / 255)

    @torch.inference_mode()
    def instances(
        self, outputs: Outputs, config: DetectionConfig | None = None
    ) -> Instances | None:
        """Return the detected things of one image, in pixels of the network's input.

        Args:
            outputs: Outputs for the image.
            config: Thresholds of the detection; the model's own by default.

        Returns:
            Things, best score first; ``None`` if there is no instance branch.
        """
        branch, detections = self.network.instance, outputs.detections
        if branch is None or detections is None:
            return None
        if config is not None and outputs.candidates is not None and outputs.proposals is not None:
            detections = branch.detections(outputs.candidates, outputs.proposals, config)
        return _instances_of_first(detections)

    def merge(
        self, outputs: Outputs, size: tuple[int, int], config: MergeConfig | None = None
    ) -> PanopticMap:
        """Merge the outputs for one image.

        Args:
            outputs: Outputs for the image.
            size: Height and width of the image.
            config: Rules and thresholds; the model's own by default.
        """
        instances = self.instances(outputs)
        return merge(
            _no_instances() if instances is None else instances,
            None if outputs.semantic is None else _array(outputs.semantic[0]),
            frame=self.config.size,
            size=size,
            stuff_labels=self.categories.stuff_labels,
            config=self.config.merge if config is None else config,
        )

    def semantic_labels(self, outputs: Outputs, size: tuple[int, int]) -> Int32[np.ndarray, "h w"]:
        """Return the semantic branch's best label, things included, of each pixel of an image.

        Args:
            outputs: Outputs for the image.
            size: Height and width of the image.

        Raises:
            ValueError: If there is no semantic branch.
        """
        if outputs.semantic is None:
            raise ValueError("the network has no semantic branch, so there are no semantic labels")
        return Upsampled.to(size, _array(outputs.semantic[0])).best(np.ones(size, bool))


def _check_pair(model: SavedModel, instances_from: SavedModel) -> None:
    """Check that the outputs of two networks can be merged."""
    if model.network.semantic is None:
        raise ValueError("the model has no semantic branch; expected one to add instances to")
    if instances_from.network.instance is None:
        raise ValueError("the model to take instances from has no instance branch")
    if model.categories != instances_from.categories:
        raise ValueError(
            "the model and the one to take instances from have different classes; expected models "
            "trained on the same data"
        )
    if model.config.size != instances_from.config.size:
        (height, width), (other_height, other_width) = model.config.size, instances_from.config.size
        raise ValueError(
            f"the model sees images at {height}x{width}, the one to take instances from at "
            f"{other_height}x{other_width}; expected one size, for example with --size"
        )


def _device(name: str | torch.device) -> torch.device:
    """Return a device on which this machine can compute.

    Raises:
        ValueError: If there is no such device.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device is {name!r}, which can't be used here: {reason}") from error
    return device


def _array(values: Tensor) -> np.ndarray:
    return values.detach().float().cpu().numpy()


def _instances_of_first(detections: Detections) -> Instances:
    """Return the detections of the first image of a batch, without padding."""
    valid = detections.valid[0]
    return Instances(
        boxes=_array(detections.boxes[0][valid]),
        labels=detections.labels[0][valid].cpu().numpy(),
        scores=_array(detections.scores[0][valid]),
        masks=_array(detections.masks[0][valid]),
    )


def _no_instances() -> Instances:
    return Instances(
        boxes=np.zeros((0, 4), np.float32),
        labels=np.zeros(0, np.int64),
        scores=np.zeros(0, np.float32),
        masks=np.zeros((0, 1, 1), np.float32),
    )
