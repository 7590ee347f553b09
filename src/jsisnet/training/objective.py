"""Training objective: forward pass with targets between the stages, and the losses."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor, nn

from jsisnet.arrays import Float, Int64
from jsisnet.data.balance import inverse_sqrt_weights
from jsisnet.data.sample import Batch, is_void
from jsisnet.data.sources import Sources
from jsisnet.model import boxes
from jsisnet.model.boxes import joined_with_image
from jsisnet.model.detection import BOX_WEIGHTS
from jsisnet.model.methods import Maps
from jsisnet.model.network import InstanceBranch, JSISNet, Part
from jsisnet.model.rpn import UNSCALED, Proposals, propose
from jsisnet.training import losses
from jsisnet.training.losses import LossConfig, Losses
from jsisnet.training.matcher import MatchConfig, match, sample, without_background
from jsisnet.training.semantic_loss import semantic_loss


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectiveConfig:
    """Loss weights, and sampling of anchors and regions."""

    weights: LossConfig = field(default_factory=LossConfig)
    """Weights of the seven terms."""

    anchors: MatchConfig = field(
        default_factory=lambda: MatchConfig(
            min_positive=0.5,
            max_negative=0.1,
            match_every_object=True,
            samples=256,
            positives=0.5,
        )
    )
    """Sampling of the anchors that train the RPN."""

    regions: MatchConfig = field(
        default_factory=lambda: MatchConfig(
            min_positive=0.5,
            max_negative=0.5,
            match_every_object=False,
            samples=64,
            positives=0.25,
        )
    )
    """Sampling of the proposals that train the region head."""

    add_true_boxes: bool = True
    """Whether ground-truth boxes are added to the proposals."""

    semantic_weights: tuple[float | Literal["inverse-sqrt"], ...] = ()
    """Weight of the pixels of each class in the semantic term, in the order of the classes; or
    ``inverse-sqrt`` for 1 / sqrt(pixels of the class) in the training data, with a mean of 1 over
    its pixels. Default: 1 each."""

    def __post_init__(self) -> None:
        weights = self.semantic_weights
        if "inverse-sqrt" in weights and len(weights) > 1:
            raise ValueError(
                f"objective.semantic_weights is {weights}; expected one number for each class, or "
                "inverse-sqrt alone"
            )

    def in_numbers(self, samples: Sources) -> "ObjectiveConfig":
        """Return the settings with `semantic_weights` in numbers, counted in the training data.

        Raises:
            ValueError: If the number of weights is not that of the classes, or a map is damaged.
        """
        given = self.semantic_weights
        if given == ("inverse-sqrt",):
            return replace(self, semantic_weights=inverse_sqrt_weights(samples.class_pixels()))
        if given and len(given) != len(samples.categories):
            raise ValueError(
                f"objective.semantic_weights has {len(given)} numbers; expected "
                f"{len(samples.categories)}, one for each class of the data"
            )
        return self


@dataclass(frozen=True, kw_only=True, slots=True)
class _Regions:
    """Sampled regions of one image with their targets."""

    boxes: Float[Tensor, "r 4"]
    channels: Int64[Tensor, " r"]
    """Thing channel, or the number of thing classes for the background."""

    owners: Int64[Tensor, " positive"]
    """Object index of each positive region; these come first."""

    @property
    def positive_boxes(self) -> Float[Tensor, "positive 4"]:
        """Boxes of the positive regions."""
        return self.boxes[: len(self.owners)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Totals:
    """Counts over a whole step, by which its loss terms are normalised.

    The gradient of a step is summed over the micro-batches of a device and averaged over devices.
    Normalised by these totals, it does not depend on how the step is divided.
    """

    pixels: int
    """Number of pixels that are not void."""

    images: int
    """Number of photos in which at least one thing class is annotated."""

    devices: int = 1
    """Number of devices."""

    parts: int = 1
    """Number of micro-batches per device."""

    @classmethod
    def of(cls, parts: Sequence[Batch]) -> "Totals":
        """Count the micro-batches of one device; the caller adds those of other devices."""
        return cls(
            pixels=sum(int((~is_void(part.semantic)).sum()) for part in parts),
            images=sum(int(part.labelled.any(dim=1).sum()) for part in parts),
            parts=len(parts),
        )


class Objective(nn.Module):
    """Network and loss in one module, which a training step calls and DDP wraps."""

    semantic_weights: Tensor | None

    def __init__(self, network: JSISNet, config: ObjectiveConfig):
        super().__init__()
        self.network = network
        self.config = config
        given = config.semantic_weights
        weights = torch.tensor([float(weight) for weight in given]) if given else None
        self.register_buffer("semantic_weights", weights, persistent=False)

    def forward(self, batch: Batch, totals: Totals | None = None) -> Losses:
        """Return the weighted terms of a batch.

        Those of a missing branch, and of one that is frozen together with the trunk, are 0.

        Args:
            batch: A whole step, or a micro-batch of it.
            totals: Counts of the step. Default: the batch is the whole step.
        """
        totals = totals or Totals.of([batch])
        maps = self.network.trunk(batch.images.float() / 255)
        zero = torch.zeros((), device=batch.images.device)
        semantic = objectness = rpn_boxes = classes = region_boxes = masks = zero
        if self.network.semantic is not None and self._learns("semantic"):
            # No name holds the logits, the largest tensor, while the instance branch runs.
            semantic = semantic_loss(
                self.network.semantic(maps), batch.semantic, self.semantic_weights
            )
        if self.network.instance is not None and self._learns("instance"):
            branch = self.network.instance
            generators = [
                torch.Generator(batch.images.device).manual_seed(seed) for seed in batch.seeds
            ]
            objectness, rpn_boxes, proposals = self._propose(branch, maps, batch, generators)
            classes, region_boxes, masks = self._classify(
                branch, maps, proposals, batch, generators
            )
        weights = self.config.weights
        per_pixel = totals.devices / max(totals.pixels, 1)
        per_image = totals.devices / max(totals.images, 1)
        per_region = per_image / self.config.regions.samples
        per_mask = per_image if weights.mask_reduction == "mean" else totals.devices
        return Losses(
            rpn_objectness=weights.rpn_objectness * per_image * objectness,
            rpn_boxes=weights.rpn_boxes * per_image * rpn_boxes,
            classes=weights.classes * per_region * classes,
            boxes=weights.boxes * per_region * region_boxes,
            masks=weights.masks * per_mask * masks,
            semantic=weights.semantic * per_pixel * semantic,
            l2=weights.l2 * losses.half_sum_of_squares(losses.kernels(self.network)) / totals.parts,
        )

    def _learns(self, branch: Part) -> bool:
        """Return whether a branch's loss changes any weight."""
        return not {"trunk", branch} <= set(self.network.config.frozen)

    def _propose(
        self,
        branch: InstanceBranch,
        maps: Maps,
        batch: Batch,
        generators: list[torch.Generator],
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""], Proposals]:
        """Return objectness and box loss of the RPN, summed over images, and the proposals."""
        logits, deltas = branch.rpn(maps)
        levels = branch.anchors(maps)
        counts, anchors = tuple(map(len, levels)), torch.cat(levels)
        height, width = batch.images.shape[-2:]
        if branch.config.anchors.outside == "prune":
            inside = (anchors == boxes.clip(anchors, (height, width))).all(dim=1)
            anchors, logits, deltas = anchors[inside], logits[:, inside], deltas[:, inside]
            counts = tuple(int(level.sum()) for level in inside.split(counts))
        objectness, offsets = [], []
        for image, objects in enumerate(batch.objects):
            matches = match(anchors, objects.boxes, objects.crowds, self.config.anchors)
            if not batch.labelled[image].all():
                matches = without_background(matches)
            sampled = sample(matches, self.config.anchors, generators[image])
            is_object = matches[sampled] >= 0
            objectness.append(losses.objectness_loss(logits[image, sampled], is_object.long()))
            positive = sampled[is_object]
            targets = boxes.encode(objects.boxes[matches[positive]], anchors[positive], UNSCALED)
            distance = losses.box_loss(deltas[image, positive], targets)
            offsets.append(distance / max(len(sampled), 1))
        limits = branch.config.proposals
        proposals = propose(logits, deltas, anchors, (height, width), limits, counts)
        return torch.stack(objectness).sum(), torch.stack(offsets).sum(), proposals

    def _classify(
        self,
        branch: InstanceBranch,
        maps: Maps,
        proposals: Proposals,
        batch: Batch,
        generators: list[torch.Generator],
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""], Float[Tensor, ""]]:
        """Return class, box and mask loss of the region head, summed over regions."""
        roi = branch.roi
        sampled = [
            self._sample_regions(
                proposals.boxes[image][proposals.valid[image]], batch, image, generators[image]
            )
            for image in range(len(batch))
        ]
        regions = joined_with_image([region.boxes for region in sampled])
        features = roi.extract(maps, regions)
        logits, deltas = roi.classify_and_refine(features)
        channels = torch.cat([region.channels for region in sampled])
        unlabelled = torch.cat(
            [
                (~labelled).expand(len(region.channels), -1)
                for region, labelled in zip(sampled, batch.labelled, strict=True)
            ]
        )
        positive = (channels < len(branch.thing_labels)).nonzero().flatten()
        channel = channels[positive]
        targets = [
            boxes.encode(objects.boxes[region.owners], region.positive_boxes, BOX_WEIGHTS)
            for region, objects in zip(sampled, batch.objects, strict=True)
        ]
        mask_logits = roi.mask(roi.extract_for_masks(maps, regions[positive], features[positive]))
        rows = torch.arange(len(positive), device=positive.device)
        return (
            losses.class_loss(logits, channels, unlabelled),
            losses.box_loss(deltas[positive, channel], torch.cat(targets)),
            self._mask_losses(mask_logits[rows, channel], sampled, batch),
        )

    def _sample_regions(
        self,
        proposals: Float[Tensor, "p 4"],
        batch: Batch,
        image: int,
        generator: torch.Generator,
    ) -> _Regions:
        objects, labelled = batch.objects[image], batch.labelled[image]
        if self.config.add_true_boxes:
            proposals = torch.cat([proposals, objects.boxes])
        matches = match(proposals, objects.boxes, objects.crowds, self.config.regions)
        if not labelled.any():
            matches = without_background(matches)
        sampled = sample(matches, self.config.regions, generator)
        owners = matches[sampled]
        owners = owners[owners >= 0]
        channels = torch.full_like(sampled, len(labelled))
        channels[: len(owners)] = objects.channels[owners]
        return _Regions(boxes=proposals[sampled], channels=channels, owners=owners)

    def _mask_losses(
        self, logits: Float[Tensor, "n m m"], sampled: list[_Regions], batch: Batch
    ) -> Float[Tensor, ""]:
        """Return the sum of the images' mask losses; `logits` holds all positives in order."""
        parts = logits.split([len(region.owners) for region in sampled])
        each = [
            losses.mask_loss(
                part,
                losses.mask_targets(ids, region.owners, region.positive_boxes, logits.shape[-1]),
            )
            for part, region, ids in zip(parts, sampled, batch.instance_ids, strict=True)
        ]
        return torch.stack(each).sum()
