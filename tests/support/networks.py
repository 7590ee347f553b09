"""Small networks and batches for the tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import jaxtyping
import numpy as np
import torch

import factories
from jsisnet.categories import Categories, Category
from jsisnet.data.sample import Batch, Objects, collate, example
from jsisnet.formats.dataset import Sample
from jsisnet.inference.thresholds import DetectionConfig, ProposalConfig
from jsisnet.model.network import JSISNet, NetworkConfig
from jsisnet.model.psp import PSPConfig
from jsisnet.model.roi_fpn import RoIFPNConfig
from jsisnet.model.roi_last_stage import LastStageConfig
from jsisnet.model.roi_light import LightConfig
from jsisnet.model.rpn import AnchorConfig
from jsisnet.model.semantic_fpn import SemanticFPNConfig
from jsisnet.model.trunk import TrunkConfig

TINY = NetworkConfig(
    trunk=TrunkConfig(name="test_resnet", neck="top_down", channels=16),
    semantic=PSPConfig(channels=16),
    anchors=AnchorConfig(sizes=(16.0, 32.0)),
    rpn_channels=16,
    proposals=ProposalConfig(max_candidates=200, max_overlap=0.7, max_proposals=20),
    roi=LightConfig(
        width=16,
        hidden=32,
        crop=7,
        pool=1,
        norm="group",
        mask_channels=16,
        mask_size=14,
        mask_norm="group",
    ),
    detection=DetectionConfig(max_detections=5),
)
"""Architecture of the lite network with a few hundred thousand parameters."""

NARROW = replace(
    TINY,
    trunk=TrunkConfig(name="test_resnet", channels=16),
    roi=LastStageConfig(width=8, mask_channels=8, mask_size=14),
)
"""Architecture of the paper's network: dilated stages, last stage as region head, batch norm."""

PYRAMID = replace(
    TINY,
    trunk=replace(TINY.trunk, neck="pyramid"),
    semantic=SemanticFPNConfig(channels=16),
    anchors=AnchorConfig(sizes=(8.0, 16.0, 32.0, 64.0, 128.0)),
    roi=RoIFPNConfig(hidden=32, canonical_size=64.0, mask_crop=7, mask_channels=8),
)
"""Architecture of a network whose methods read a pyramid."""


def numbered(things: int, stuff: int) -> Categories:
    """Return categories of numbered thing classes, followed by stuff classes."""
    return Categories(
        tuple(
            Category(id=number, name=f"class {number}", isthing=number <= things)
            for number in range(1, things + stuff + 1)
        )
    )


@contextmanager
def shapes_unchecked() -> Iterator[None]:
    """Stop checking shapes: a check of a traced batch would fix its size."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


def network(
    config: NetworkConfig = TINY, categories: Categories = factories.CATEGORIES, *, seed: int = 0
) -> JSISNet:
    """Create a network with random weights."""
    torch.manual_seed(seed)
    return JSISNet(config, categories).eval()


def shapes_only(config: NetworkConfig, categories: Categories) -> JSISNet:
    """Create a network on the meta device, without memory."""
    with torch.device("meta"):
        return JSISNet(config, categories)


def photos(count: int, size: tuple[int, int] = (64, 96)) -> torch.Tensor:
    """Return pictures of random noise."""
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(0))


def streets(*numbers: int, size: tuple[int, int] = (64, 96)) -> Batch:
    """Return a batch of the generated streets."""
    examples = []
    for number in numbers:
        panoptic = factories.tiny_map(number, size)
        image = np.array(factories.photo_of(panoptic, seed=number))
        sample = Sample(image=image, panoptic=panoptic, image_id=number)
        examples.append(example(sample, factories.CATEGORIES, seed=number))
    return collate(examples)


def objects_of(
    boxes: list[list[float]], channels: list[int], crowds: list[list[float]] | None = None
) -> Objects:
    """Return the objects of an image from lists."""
    return Objects(
        boxes=torch.tensor(boxes, dtype=torch.float32).view(-1, 4),
        channels=torch.tensor(channels, dtype=torch.int64),
        crowds=torch.tensor(crowds or [], dtype=torch.float32).view(-1, 4),
    )
