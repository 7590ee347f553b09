"""A photo in, a panoptic map out."""

from pathlib import Path

import numpy as np
import torch

from jsisnet.arrays import Int32, UInt8
from jsisnet.categories import Categories
from jsisnet.data.transforms import resize
from jsisnet.inference import saved_model
from jsisnet.inference.merge import merge
from jsisnet.inference.raster import Upsampled
from jsisnet.inference.rules import MergeConfig
from jsisnet.inference.saved_model import SavedModel
from jsisnet.model.detection import DetectionConfig
from jsisnet.model.instances import Instances
from jsisnet.model.network import JSISNet, Outputs, SeparateNetworks
from jsisnet.panoptic import PanopticMap


class Predictor:
    """A trained network ready for photos of any size."""

    def __init__(
        self,
        model: SavedModel,
        *,
        instances_from: SavedModel | None = None,
        device: str | torch.device = "cpu",
    ):
        """Prepare one network, or one for the semantic branch and another one for the instances.

        Args:
            model: The network, with its classes and settings.
            instances_from: Where the instances come from instead, as in the paper's Table 3; the
                settings of the merge stay those of `model`.
            device: Where the networks run.

        Raises:
            ValueError: If two networks don't fit together, or lack the branch that is needed.
        """
        self.config = model.config
        self.categories: Categories = model.categories
        self.device = torch.device(device)
        network: JSISNet | SeparateNetworks = model.network
        if instances_from is not None:
            _check_pair(model, instances_from)
            network = SeparateNetworks(model.network, instances_from.network)
        self.network = network.to(self.device).eval()

    @classmethod
    def load(
        cls,
        model: str | Path = "coco",
        *overrides: str,
        instances_from: str | Path | None = None,
        device: str | torch.device = "cpu",
    ) -> "Predictor":
        """Read a model.

        Args:
            model: Name of an embedded model, or a model or run folder.
            overrides: Options that win over the model's own, such as ``"--merge.canvas=original"``.
            instances_from: Likewise a model that finds the instances instead.
            device: Where the network runs.

        Raises:
            ValueError: If there is no such model, a file is damaged, or two models don't fit.
        """
        other = None if instances_from is None else saved_model.read(instances_from, overrides)
        return cls(saved_model.read(model, overrides), instances_from=other, device=device)

    def __call__(self, image: UInt8[np.ndarray, "h w 3"]) -> PanopticMap:
        """Segment an RGB photo; the map has its size."""
        return self.merged(self.outputs(image), (image.shape[0], image.shape[1]))

    @torch.inference_mode()
    def outputs(self, image: UInt8[np.ndarray, "h w 3"]) -> Outputs:
        """Run the network on an RGB image, resized to the network's input.

        Raises:
            ValueError: If the image is not an array of 8-bit RGB pixels, or is empty.
        """
        _check(image)
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
        return detections.of_image(0)

    def merged(
        self, outputs: Outputs, size: tuple[int, int], rules: MergeConfig | None = None
    ) -> PanopticMap:
        """Merge the outputs for one photo.

        Args:
            outputs: For the photo.
            size: Height and width of the photo.
            rules: Default: those of the model.
        """
        instances = self.instances(outputs)
        return merge(
            _no_instances(self.device) if instances is None else instances,
            None if outputs.semantic is None else outputs.semantic[0],
            frame=self.config.size,
            size=size,
            stuff_labels=self.categories.stuff_labels,
            config=self.config.merge if rules is None else rules,
        )

    def semantic_labels(self, outputs: Outputs, size: tuple[int, int]) -> Int32[np.ndarray, "h w"]:
        """Give the semantic branch's best label, of things too, for each pixel of a photo.

        Args:
            outputs: For the photo.
            size: Height and width of the photo.

        Raises:
            ValueError: If there is no semantic branch.
        """
        if outputs.semantic is None:
            raise ValueError("the network has no semantic branch; expected one for a map of labels")
        everywhere = torch.ones(size, dtype=torch.bool, device=self.device)
        return Upsampled.to(size, outputs.semantic[0]).best(everywhere).cpu().numpy()


def _check_pair(model: SavedModel, instances_from: SavedModel) -> None:
    """Refuse two networks whose outputs can't be merged."""
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
            f"the model sees photos at {height}x{width}, the one to take instances from at "
            f"{other_height}x{other_width}; expected one size, for example with --size"
        )


def _check(image: object) -> None:
    """Refuse what would be taken for another photo, such as one with values from 0 to 1."""
    if not isinstance(image, np.ndarray):
        raise ValueError(f"the photo is of type {type(image).__name__}; expected a NumPy array")
    if image.dtype != np.uint8 or image.shape[2:] != (3,) or not image.size:
        found = f"{image.dtype} of shape {image.shape}"
        raise ValueError(f"the photo is {found}; expected uint8 of height x width x 3")


def _no_instances(device: torch.device) -> Instances:
    return Instances(
        boxes=torch.zeros(0, 4, device=device),
        labels=torch.zeros(0, dtype=torch.int64, device=device),
        scores=torch.zeros(0, device=device),
        masks=torch.zeros(0, 1, 1, device=device),
    )
