"""A photo in, a panoptic map out."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from jsisnet import saved_model
from jsisnet.categories import Categories
from jsisnet.data.transforms import resize
from jsisnet.inference.merge import merge
from jsisnet.instances import Instances
from jsisnet.model.network import Outputs
from jsisnet.panoptic import PanopticMap
from jsisnet.saved_model import SavedModel


class Predictor:
    """A trained network ready for photos of any size."""

    def __init__(self, model: SavedModel, *, device: str | torch.device = "cpu"):
        self.config = model.config
        self.categories: Categories = model.categories
        self.device = torch.device(device)
        self.network = model.network.to(self.device).eval()

    @classmethod
    def load(
        cls,
        model: str | Path = "coco",
        *overrides: str,
        device: str | torch.device = "cpu",
    ) -> "Predictor":
        """Read a model.

        Args:
            model: Name of an embedded model, or a model or run folder.
            overrides: Options that win over the model's own, such as ``"--merge.canvas=original"``.
            device: Where the network runs.

        Raises:
            ValueError: If there is no such model, or a file is damaged.
        """
        return cls(saved_model.read(model, overrides), device=device)

    def __call__(self, image: UInt8[np.ndarray, "h w 3"]) -> PanopticMap:
        """Segment an RGB photo; the map has its size."""
        return self.merged(self.outputs(image), (image.shape[0], image.shape[1]))

    @torch.inference_mode()
    def outputs(self, image: UInt8[np.ndarray, "h w 3"]) -> Outputs:
        """Give what the branches predict for an RGB photo, at the size of the network's input.

        Raises:
            ValueError: If the photo is no array of 8-bit RGB pixels, or has none.
        """
        _check(image)
        pixels = torch.from_numpy(np.array(image, order="C")).to(self.device).permute(2, 0, 1)
        resized = resize(pixels, self.config.size)
        return self.network(resized[None].float() / 255)

    def merged(self, outputs: Outputs, size: tuple[int, int]) -> PanopticMap:
        """Merge the outputs for one photo of the given height and width."""
        return merge(
            _no_instances(self.device)
            if outputs.detections is None
            else outputs.detections.of_image(0),
            None if outputs.semantic is None else outputs.semantic[0],
            frame=self.config.size,
            size=size,
            stuff_labels=self.categories.stuff_labels,
            config=self.config.merge,
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
