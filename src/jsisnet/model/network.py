"""JSIS-Net: one trunk, a semantic branch and an instance branch."""

from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor, nn

from jsisnet.arrays import Float
from jsisnet.categories import Categories
from jsisnet.model.blocks import LastStage
from jsisnet.model.detection import DetectedBoxes, DetectionConfig, Detections, detect
from jsisnet.model.roi import RoIConfig, RoIHead
from jsisnet.model.rpn import (
    AnchorConfig,
    ProposalConfig,
    Proposals,
    RegionProposalNetwork,
    anchors,
    propose,
)
from jsisnet.model.semantic import SemanticBranch, SemanticConfig
from jsisnet.model.trunk import Trunk, TrunkConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkConfig:
    """The whole network; the defaults are the paper's for COCO."""

    branches: Literal["joint", "semantic", "instance"] = "joint"
    """Which branches the network has; one alone is the paper's Table 3."""

    trunk: TrunkConfig = field(default_factory=TrunkConfig)
    """The shared feature extractor."""

    semantic: SemanticConfig = field(default_factory=SemanticConfig)
    """The semantic branch."""

    anchors: AnchorConfig = field(default_factory=AnchorConfig)
    """Anchors of the region proposal network."""

    rpn_channels: int = 512
    """Channels of the region proposal network's hidden layer."""

    proposals: ProposalConfig = field(default_factory=ProposalConfig)
    """Which anchors become proposals."""

    roi: RoIConfig = field(default_factory=RoIConfig)
    """The region head."""

    detection: DetectionConfig = field(default_factory=DetectionConfig)
    """Which regions become detections."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outputs:
    """What the network predicts for a batch."""

    semantic: Float[Tensor, "b k h w"] | None
    """Logits of every label at a quarter of the input's size; ``None`` without that branch."""

    detections: Detections | None
    """Things; ``None`` without that branch."""

    extra: Detections | None = None
    """Things by other rules, if they were asked for."""

    proposals: Proposals | None = None
    """What the region head has read; ``None`` without an instance branch."""

    extra_proposals: Proposals | None = None
    """Proposals by other rules, if they were asked for; nothing has read them."""


class InstanceBranch(nn.Module):
    """Mask R-CNN on the shared map: proposals, then class, box and mask of each.

    Reference:
        He et al., "Mask R-CNN"; masks are predicted on the final boxes.
    """

    thing_labels: Tensor

    def __init__(self, channels: int, thing_labels: tuple[int, ...], config: NetworkConfig):
        super().__init__()
        self.config = config
        self.rpn = RegionProposalNetwork(channels, config.rpn_channels, config.anchors)
        self.roi = RoIHead(channels, len(thing_labels), config.roi)
        self.register_buffer("thing_labels", torch.tensor(thing_labels), persistent=False)

    def forward(
        self,
        features: Float[Tensor, "b c h w"],
        size: tuple[int, int],
        extra: DetectionConfig | None = None,
        extra_proposals: ProposalConfig | None = None,
    ) -> Outputs:
        """Detect things in images of the given height and width.

        Args:
            features: The shared map.
            size: Height and width.
            extra: Other rules than the network's own to detect things by, besides.
            extra_proposals: Other rules than the network's own to propose by, besides.
        """
        objectness, offsets = self.rpn(features)
        anchors = self.anchors(features)
        proposals = propose(objectness, offsets, anchors, size, self.config.proposals)
        regions = self.roi.extract(features, proposals.boxes.unbind())
        logits, deltas = self.roi.classify_and_refine(regions)
        logits = logits.view(len(features), -1, logits.shape[-1])
        deltas = deltas.view(len(features), -1, *deltas.shape[1:])

        def detected(config: DetectionConfig) -> Detections:
            return self._with_masks(features, detect(logits, deltas, proposals, size, config))

        return Outputs(
            semantic=None,
            detections=detected(self.config.detection),
            extra=None if extra is None else detected(extra),
            proposals=proposals,
            extra_proposals=None
            if extra_proposals is None
            else propose(objectness, offsets, anchors, size, extra_proposals),
        )

    def anchors(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "a 4"]:
        """Place the anchors of a shared map."""
        height, width = features.shape[-2:]
        return anchors((height, width), self.config.anchors, features.device)

    def _with_masks(self, features: Float[Tensor, "b c h w"], found: DetectedBoxes) -> Detections:
        """Read the refined boxes again for their masks."""
        regions = self.roi.extract(features, found.boxes.unbind())
        logits = self.roi.mask(regions)
        rows = torch.arange(len(logits), device=logits.device)
        masks = logits[rows, found.channels.flatten()].float().sigmoid()
        return Detections(
            boxes=found.boxes,
            labels=self.thing_labels[found.channels],
            scores=found.scores,
            masks=masks.view(len(features), -1, *masks.shape[1:]),
            valid=found.valid,
        )


class JSISNet(nn.Module):
    """Joint semantic and instance segmentation network.

    Raises:
        ValueError: If the classes leave a branch nothing to predict, or the trunk does not fit.

    Reference:
        de Geus et al., arXiv 1809.02110, section 2.1.
    """

    def __init__(self, config: NetworkConfig, categories: Categories):
        super().__init__()
        things = categories.thing_labels
        if not things and config.branches != "semantic":
            raise ValueError(
                f"none of the {len(categories)} classes is a thing, so there is nothing to detect; "
                "expected --network.branches semantic"
            )
        self.config = config
        self.trunk = Trunk(config.trunk)
        channels = self.trunk.channels
        self.semantic = (
            SemanticBranch(channels, len(categories), config.semantic)
            if config.branches != "instance"
            else None
        )
        self.instance = (
            InstanceBranch(channels, things, config) if config.branches != "semantic" else None
        )

    def forward(
        self,
        images: Float[Tensor, "b 3 h w"],
        extra: DetectionConfig | None = None,
        extra_proposals: ProposalConfig | None = None,
    ) -> Outputs:
        """Predict for RGB images with values in [0, 1].

        Args:
            images: Images of one size.
            extra: Other rules than the network's own to detect things by, besides.
            extra_proposals: Other rules than the network's own to propose by, besides.
        """
        features = self.trunk(images)
        height, width = images.shape[-2:]
        semantic = None if self.semantic is None else self.semantic(features).float()
        if self.instance is None:
            return Outputs(semantic=semantic, detections=None)
        found: Outputs = self.instance(features, (height, width), extra, extra_proposals)
        return replace(found, semantic=semantic)

    def load_imagenet(self, state: dict[str, Tensor]) -> None:
        """Start the trunk, and every last stage of a branch as far as it fits, from a classifier.

        Args:
            state: State dictionary with the names of torchvision or timm.

        Raises:
            ValueError: If the trunk lacks a weight.
        """
        self.trunk.load_imagenet(state)
        for stage in (module for module in self.modules() if isinstance(module, LastStage)):
            own = stage.state_dict()
            fitting = {
                name: state[f"layer4.{name}"]
                for name, value in own.items()
                if f"layer4.{name}" in state and state[f"layer4.{name}"].shape == value.shape
            }
            stage.load_state_dict(fitting, strict=False)

    def load_fitting(self, state: dict[str, Tensor]) -> int:
        """Take over what fits of another network: every value of the same name and shape.

        Args:
            state: State dictionary of a `JSISNet`.

        Returns:
            The number of values taken over.

        Raises:
            ValueError: If the stages of the trunk don't fit, as they do for another trunk.
        """
        own = self.state_dict()
        fitting = {
            name: value
            for name, value in state.items()
            if name in own and own[name].shape == value.shape
        }
        lacking = [name for name in own if name.startswith("trunk.stages.") and name not in fitting]
        if lacking:
            raise ValueError(f"its trunk is another one: {lacking[0]} does not fit")
        self.load_state_dict(fitting, strict=False)
        return len(fitting)


class SeparateNetworks(nn.Module):
    """A network for the semantic branch's part and another one for the instance branch's.

    Reference:
        de Geus et al., arXiv 1809.02110, section 4.1.
    """

    def __init__(self, semantic: JSISNet, instance: JSISNet):
        super().__init__()
        self.semantic_network = semantic
        self.instance_network = instance

    def forward(
        self,
        images: Float[Tensor, "b 3 h w"],
        extra: DetectionConfig | None = None,
        extra_proposals: ProposalConfig | None = None,
    ) -> Outputs:
        """Predict as `JSISNet` does."""
        found: Outputs = self.instance_network(images, extra, extra_proposals)
        return replace(found, semantic=self.semantic_network(images).semantic)
