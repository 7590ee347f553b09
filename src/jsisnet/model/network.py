"""JSIS-Net: one trunk, a semantic branch and an instance branch."""

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from jsisnet.arrays import Float
from jsisnet.categories import Categories
from jsisnet.checks import MOST_CHANNELS, check_ranges
from jsisnet.inference.thresholds import DetectionConfig, ProposalConfig
from jsisnet.model.blocks import LastStage
from jsisnet.model.boxes import clip, rows_and_first, with_image
from jsisnet.model.detection import (
    DetectedBoxes,
    Detections,
    TensorThresholds,
    detect,
)
from jsisnet.model.methods import (
    REGION_HEADS,
    SEMANTIC_METHODS,
    Maps,
    RegionMethod,
    SemanticMethod,
    TrunkShape,
)
from jsisnet.model.psp import PSPConfig
from jsisnet.model.roi_last_stage import LastStageConfig
from jsisnet.model.rpn import (
    AnchorConfig,
    Proposals,
    RegionProposalNetwork,
    anchors,
    propose,
)
from jsisnet.model.trunk import Trunk, TrunkConfig

Part = Literal["trunk", "semantic", "instance"]


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkConfig:
    """Architecture and thresholds of the network; the defaults are the paper's for COCO."""

    branches: Literal["joint", "semantic", "instance"] = "joint"
    """Branches of the network; a single one is a baseline of the paper's Table 3."""

    frozen: tuple[Part, ...] = ()
    """Parts that training leaves as they are, batch norms and dropout included: ``trunk``, with its
    neck, ``semantic`` and ``instance``."""

    trunk: TrunkConfig = field(default_factory=TrunkConfig)
    """Shared feature extractor."""

    semantic: Annotated[SemanticMethod, SEMANTIC_METHODS] = field(default_factory=PSPConfig)
    """Semantic branch, whose `method` decides which other settings it has."""

    anchors: AnchorConfig = field(default_factory=AnchorConfig)
    """Anchors of the region proposal network."""

    rpn_channels: int = 512
    """Hidden channels of the region proposal network."""

    rpn_convolutions: int = 1
    """Number of hidden 3x3 convolutions of the region proposal network."""

    proposals: ProposalConfig = field(default_factory=ProposalConfig)
    """Limits of the proposals."""

    roi: Annotated[RegionMethod, REGION_HEADS] = field(default_factory=LastStageConfig)
    """Region head, whose `head` decides which other settings it has."""

    detection: DetectionConfig = field(default_factory=DetectionConfig)
    """Thresholds of the detections."""

    def __post_init__(self) -> None:
        layers = {"rpn_channels": (1, MOST_CHANNELS), "rpn_convolutions": (1, 16)}
        check_ranges(self, "network", **layers)
        parts = [
            "trunk",
            *(["semantic", "instance"] if self.branches == "joint" else [self.branches]),
        ]
        missing = [part for part in self.frozen if part not in parts]
        if missing or set(self.frozen) == set(parts):
            problem = (
                f"names {missing[0]}, which a network with branches {self.branches} lacks"
                if missing
                else "names every part, which leaves nothing to train"
            )
            raise ValueError(f"network.frozen {problem}; expected some of {', '.join(parts)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidates:
    """Scored anchors and regions of a batch, from which `propose` and `detect` select."""

    size: tuple[int, int]
    """Height and width of the network's input."""

    maps: Maps
    """Shared maps."""

    anchors: Float[Tensor, "a 4"]
    """Corners in pixels of the network's input, map by map."""

    counts: tuple[int, ...]
    """Number of anchors of each map."""

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
    """Mask R-CNN on the shared maps: proposals, then class, box and mask of each.

    Reference:
        He et al., "Mask R-CNN"; masks are predicted on the final boxes.
    """

    thing_labels: Tensor

    def __init__(self, trunk: TrunkShape, thing_labels: tuple[int, ...], config: NetworkConfig):
        super().__init__()
        self.config = config
        self.strides = trunk.strides
        self._anchors = config.anchors.spread(len(trunk.strides))
        self.rpn = RegionProposalNetwork(
            trunk.channels, config.rpn_channels, self._anchors[0], config.rpn_convolutions
        )
        self.roi = config.roi.build(trunk, len(thing_labels))
        self.register_buffer("thing_labels", torch.tensor(thing_labels), persistent=False)

    def forward(self, maps: Maps, size: tuple[int, int]) -> Outputs:
        """Detect things.

        Args:
            maps: Shared maps.
            size: Height and width of the network's input.
        """
        proposals, candidates = self.candidates(maps, size)
        return Outputs(
            proposals=proposals,
            detections=self.detections(candidates, proposals, self.config.detection),
            candidates=candidates,
        )

    def candidates(self, maps: Maps, size: tuple[int, int]) -> tuple[Proposals, Candidates]:
        """Propose regions and classify them.

        Args:
            maps: Shared maps.
            size: Height and width of the network's input.
        """
        objectness, anchor_deltas = self.rpn(maps)
        levels = self.anchors(maps)
        counts = tuple(map(len, levels))
        anchors = torch.cat(levels)
        if self.config.anchors.outside == "prune":
            anchors = clip(anchors, size)
        proposals = propose(objectness, anchor_deltas, anchors, size, self.config.proposals, counts)
        features = self.roi.extract(maps, with_image(proposals.boxes))
        class_logits, box_deltas = self.roi.classify_and_refine(features)
        per_image = (-1, proposals.boxes.shape[1])
        return proposals, Candidates(
            size=size,
            maps=maps,
            anchors=anchors,
            counts=counts,
            objectness=objectness,
            anchor_deltas=anchor_deltas,
            class_logits=class_logits.unflatten(0, per_image),
            box_deltas=box_deltas.unflatten(0, per_image),
        )

    def anchors(self, maps: Maps) -> tuple[Float[Tensor, "_ 4"], ...]:
        """Place the anchors of each shared map."""
        grids = [(features.shape[-2], features.shape[-1]) for features in maps.values()]
        distances = [(stride, stride) for stride in maps]
        if self.config.anchors.rounded and len(grids) > 1:
            finer = self.strides[-2]
            rows, columns = (
                cells * finer // own for cells, own in zip(grids[-2], grids[-1], strict=True)
            )
            distances[-1] = (rows, columns)
        device = next(iter(maps.values())).device
        placed = zip(grids, self._anchors, distances, strict=True)
        return tuple(anchors(grid, config, device, distance) for grid, config, distance in placed)

    def detections(
        self,
        candidates: Candidates,
        proposals: Proposals,
        config: DetectionConfig | TensorThresholds,
    ) -> Detections:
        """Select detections among classified proposals, and predict their masks.

        Args:
            candidates: The proposals' logits and offsets, and the shared maps.
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
            masks=self._masks(candidates.maps, found),
            valid=found.valid,
        )

    def _masks(self, maps: Maps, found: DetectedBoxes) -> Float[Tensor, "b d m m"]:
        """Predict the masks of the detections that are no padding."""
        real = found.valid.flatten()
        rows = rows_and_first(real)
        logits = self.roi.mask(self.roi.extract_for_masks(maps, with_image(found.boxes)[rows]))
        channels = found.channels.flatten()[rows]
        grid = logits.shape[-2:]
        chosen = logits.gather(1, channels[:, None, None, None].expand(-1, 1, *grid))[:, 0]
        masks = chosen.float().sigmoid() * real[rows, None, None]
        padded = masks.new_zeros(real.shape[0], *masks.shape[1:]).index_put((rows,), masks)
        return padded.unflatten(0, (-1, found.valid.shape[1]))


class JSISNet(nn.Module):
    """Joint semantic and instance segmentation network.

    Raises:
        ValueError: If there is an instance branch but no thing class, the trunk is not usable, or
            a method can't read its maps.

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
        shape = self.trunk.shape
        self.semantic = (
            config.semantic.build(shape, len(categories)) if config.branches != "instance" else None
        )
        self.instance = (
            InstanceBranch(shape, things, config) if config.branches != "semantic" else None
        )
        for part in config.frozen:
            self.get_submodule(part).requires_grad_(False)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Outputs:
        """Predict for RGB images of one size, with values in [0, 1]."""
        maps = self.trunk(images)
        height, width = images.shape[-2:]
        semantic = None if self.semantic is None else self.semantic(maps).float()
        if self.instance is None:
            return Outputs(semantic=semantic)
        found: Outputs = self.instance(maps, (height, width))
        return replace(found, semantic=semantic)

    def train(self, mode: bool = True) -> "JSISNet":
        """Switch between training and prediction; frozen parts stay as they predict."""
        super().train(mode)
        for part in self.config.frozen:
            self.get_submodule(part).eval()
        return self

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
