"""JSIS-Net: one trunk, a semantic branch and an instance branch."""

from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor, nn

from jsisnet.arrays import Float
from jsisnet.categories import Categories
from jsisnet.checks import MOST_CHANNELS, check_ranges
from jsisnet.inference.thresholds import DetectionConfig, ProposalConfig
from jsisnet.model.blocks import LastStage
from jsisnet.model.boxes import clip
from jsisnet.model.detection import (
    DetectedBoxes,
    Detections,
    TensorThresholds,
    detect,
)
from jsisnet.model.roi import RoIConfig, RoIHead
from jsisnet.model.rpn import (
    AnchorConfig,
    Proposals,
    RegionProposalNetwork,
    anchors,
    propose,
)
from jsisnet.model.semantic import SemanticBranch, SemanticConfig
from jsisnet.model.trunk import Trunk, TrunkConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkConfig:
    """Architecture and thresholds of the network; the defaults are the paper's for COCO."""

    branches: Literal["joint", "semantic", "instance"] = "joint"
    """Branches of the network; a single one is a baseline of the paper's Table 3."""

    trunk: TrunkConfig = field(default_factory=TrunkConfig)
    """Shared feature extractor."""

    semantic: SemanticConfig = field(default_factory=SemanticConfig)
    """Semantic branch."""

    anchors: AnchorConfig = field(default_factory=AnchorConfig)
    """Anchors of the region proposal network."""

    rpn_channels: int = 512
    """Hidden channels of the region proposal network."""

    proposals: ProposalConfig = field(default_factory=ProposalConfig)
    """Limits of the proposals."""

    roi: RoIConfig = field(default_factory=RoIConfig)
    """Region head."""

    detection: DetectionConfig = field(default_factory=DetectionConfig)
    """Thresholds of the detections."""

    def __post_init__(self) -> None:
        check_ranges(self, "network", rpn_channels=(1, MOST_CHANNELS))


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidates:
    """Scored anchors and regions of a batch, from which `propose` and `detect` select."""

    size: tuple[int, int]
    """Height and width of the network's input."""

    features: Float[Tensor, "b c h w"]
    """Shared feature map."""

    anchors: Float[Tensor, "a 4"]
    """Corners in pixels of the network's input."""

    objectness: Float[Tensor, "b a 2"]
    """Logits (background, object) of each anchor."""

    anchor_deltas: Float[Tensor, "b a 4"]
    """Box offsets of each anchor."""

    class_logits: Float[Tensor, "b p t_and_background"]
    """Logits of each proposal; the background is the last channel."""

    box_deltas: Float[Tensor, "b p t 4"]
    """Box offsets of each proposal, one set per thing class."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outputs:
    """Predictions of the network for a batch."""

    semantic: Float[Tensor, "b k h w"] | None = None
    """Logits of every label, by default at a quarter of the input size; ``None`` without a semantic
    branch."""

    proposals: Proposals | None = None
    """Regions that were classified; ``None`` without an instance branch."""

    detections: Detections | None = None
    """Detected things; ``None`` without an instance branch."""

    candidates: Candidates | None = None
    """What proposals and detections were selected from; ``None`` without an instance branch."""


class InstanceBranch(nn.Module):
    """Mask R-CNN heads on the shared map: proposals, then class, box and mask of each.

    Reference:
        He et al., "Mask R-CNN"; masks are predicted on the final boxes.
    """

    thing_labels: Tensor

    def __init__(self, channels: int, thing_labels: tuple[int, ...], config: NetworkConfig):
        super().__init__()
        self.config = config
        self.rpn = RegionProposalNetwork(channels, config.rpn_channels, config.anchors)
        self.roi = RoIHead(channels, len(thing_labels), config.roi, config.trunk.stride)
        self.register_buffer("thing_labels", torch.tensor(thing_labels), persistent=False)

    def forward(self, features: Float[Tensor, "b c h w"], size: tuple[int, int]) -> Outputs:
        """Detect things.

        Args:
            features: Shared feature map.
            size: Height and width of the network's input.
        """
        proposals, candidates = self.candidates(features, size)
        return Outputs(
            proposals=proposals,
            detections=self.detections(candidates, proposals, self.config.detection),
            candidates=candidates,
        )

    def candidates(
        self, features: Float[Tensor, "b c h w"], size: tuple[int, int]
    ) -> tuple[Proposals, Candidates]:
        """Propose regions and classify them.

        Args:
            features: Shared feature map.
            size: Height and width of the network's input.
        """
        objectness, anchor_deltas = self.rpn(features)
        anchors = self.anchors(features)
        if self.config.anchors.outside == "prune":
            anchors = clip(anchors, size)
        proposals = propose(objectness, anchor_deltas, anchors, size, self.config.proposals)
        regions = self.roi.extract(features, _with_image(proposals.boxes))
        class_logits, box_deltas = self.roi.classify_and_refine(regions)
        per_image = (-1, proposals.boxes.shape[1])
        return proposals, Candidates(
            size=size,
            features=features,
            anchors=anchors,
            objectness=objectness,
            anchor_deltas=anchor_deltas,
            class_logits=class_logits.unflatten(0, per_image),
            box_deltas=box_deltas.unflatten(0, per_image),
        )

    def anchors(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "a 4"]:
        """Place the anchors of a shared map."""
        height, width = features.shape[-2:]
        config = self.config
        return anchors((height, width), config.anchors, features.device, config.trunk.stride)

    def detections(
        self,
        candidates: Candidates,
        proposals: Proposals,
        config: DetectionConfig | TensorThresholds,
    ) -> Detections:
        """Select detections among classified proposals, and predict their masks.

        Args:
            candidates: The proposals' logits and offsets, and the shared map.
            proposals: The proposals.
            config: Thresholds.
        """
        found = detect(
            candidates.class_logits, candidates.box_deltas, proposals, candidates.size, config
        )
        return Detections(
            boxes=found.boxes,
            labels=self.thing_labels[found.channels],
            scores=found.scores,
            masks=self._masks(candidates.features, found),
            valid=found.valid,
        )

    def _masks(
        self, features: Float[Tensor, "b c h w"], found: DetectedBoxes
    ) -> Float[Tensor, "b d m m"]:
        """Predict the masks of the detections that are no padding."""
        real = found.valid.flatten()
        # At least one row, so that no layer meets an empty batch.
        rows = torch.cat([torch.ones_like(real[:1]), real[1:]]).nonzero()[:, 0]
        torch._check(rows.shape[0] >= 1)
        torch._check(rows.shape[0] <= real.shape[0])
        logits = self.roi.mask(self.roi.extract(features, _with_image(found.boxes)[rows]))
        channels = found.channels.flatten()[rows]
        grid = logits.shape[-2:]
        chosen = logits.gather(1, channels[:, None, None, None].expand(-1, 1, *grid))[:, 0]
        masks = chosen.float().sigmoid() * real[rows, None, None]
        padded = masks.new_zeros(real.shape[0], *masks.shape[1:]).index_put((rows,), masks)
        return padded.unflatten(0, (-1, found.valid.shape[1]))


def _with_image(boxes: Float[Tensor, "b n 4"]) -> Float[Tensor, "r 5"]:
    """Return the boxes of a batch as rows, with the number of their image before each."""
    number = torch.arange(boxes.shape[0], device=boxes.device, dtype=boxes.dtype)
    numbers = number[:, None, None].expand(-1, boxes.shape[1], 1)
    return torch.cat([numbers, boxes], dim=2).flatten(0, 1)


class JSISNet(nn.Module):
    """Joint semantic and instance segmentation network.

    Raises:
        ValueError: If there is an instance branch but no thing class, or the trunk is not usable.

    Reference:
        de Geus et al., arXiv 1809.02110, section 2.1.
    """

    def __init__(self, config: NetworkConfig, categories: Categories):
        super().__init__()
        things = categories.thing_labels
        if not things and config.branches != "semantic":
            raise ValueError(
                f"none of the {len(categories)} classes is a thing, so there is nothing to detect; "
                "use --network.branches semantic"
            )
        self.config = config
        self.trunk = Trunk(config.trunk)
        channels = self.trunk.channels
        self.semantic = (
            SemanticBranch(channels, len(categories), config.semantic, config.trunk.stride)
            if config.branches != "instance"
            else None
        )
        self.instance = (
            InstanceBranch(channels, things, config) if config.branches != "semantic" else None
        )

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Outputs:
        """Predict for RGB images of one size, with values in [0, 1]."""
        features = self.trunk(images)
        height, width = images.shape[-2:]
        semantic = None if self.semantic is None else self.semantic(features).float()
        if self.instance is None:
            return Outputs(semantic=semantic)
        found: Outputs = self.instance(features, (height, width))
        return replace(found, semantic=semantic)

    def load_imagenet(self, state: dict[str, Tensor]) -> None:
        """Initialise the trunk from an ImageNet classifier, and each branch's last stage if any.

        Args:
            state: State dictionary with torchvision's or timm's names. Weights of a last stage
                whose shapes differ are skipped.

        Raises:
            ValueError: If a weight of the trunk is missing or has another shape.
        """
        self.trunk.load_imagenet(state)
        for module in self.modules():
            if isinstance(module, LastStage):
                module.load_imagenet(state)
