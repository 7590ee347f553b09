"""Mask2Former of transformers, on the same ImageNet trunk of timm.

Reference:
    Cheng et al., "Masked-attention Mask Transformer for Universal Image Segmentation", CVPR 2022.
"""

import sys
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from contest.course import Contestant, Course
from contest.trunk import FROZEN, NAME, freeze, groups
from jsisnet.data.sample import Batch
from jsisnet.inference.engine import resize
from jsisnet.model import imagenet
from jsisnet.panoptic import PanopticMap, Segment

try:
    from transformers import (
        Mask2FormerConfig,
        Mask2FormerForUniversalSegmentation,
        TimmBackboneConfig,
    )
except ModuleNotFoundError:
    sys.exit("this benchmark needs the package transformers: pip install -e '.[benchmarks]'")

WIDTH, QUERIES, ENCODER, DECODER, HEADS, POINTS = 128, 50, 3, 4, 8, 3136
"""A network about as large as ours: the paper's has 256 channels, 100 queries and 6 + 9 layers."""

RATE, TRUNK, WEIGHT_DECAY = 1e-3, 0.1, 0.05
"""Learning rate (ten times the paper's, which is made for much longer trainings and for a batch of
16), that of the trunk in relation to it, and the decay."""

MAX_GRADIENT = 0.1

MIN_SCORES, MIN_VISIBLE = (0.3, 0.5, 0.8), (0.5, 0.8)
"""Thresholds that are tried; the paper's are 0.8 and 0.8."""


class Mask2Former:
    """Mask2Former with its own losses and its own way from queries to a map."""

    max_gradient = MAX_GRADIENT

    def __init__(self, course: Course) -> None:
        """Build the network."""
        self.categories, self.size = course.categories, course.size
        backbone = TimmBackboneConfig(
            backbone=NAME,
            out_indices=[1, 2, 3, 4],
            features_only=True,
            freeze_batch_norm_2d=True,
        )
        Mask2FormerConfig.backbones_supported = ["swin", "timm_backbone"]
        config = Mask2FormerConfig(
            backbone_config=backbone,
            num_labels=len(self.categories),
            num_queries=QUERIES,
            hidden_dim=WIDTH,
            feature_size=WIDTH,
            mask_feature_size=WIDTH,
            encoder_layers=ENCODER,
            encoder_feedforward_dim=4 * WIDTH,
            dim_feedforward=4 * WIDTH,
            decoder_layers=DECODER + 1,
            num_attention_heads=HEADS,
            train_num_points=POINTS,
            use_auxiliary_loss=True,
        )
        self.network: Any = Mask2FormerForUniversalSegmentation(config)
        self.trunk: nn.Module = self.network.model.pixel_level_module.encoder._backbone
        state = imagenet.read(NAME, "imagenet")
        self.trunk.load_state_dict({k: state[k] for k in self.trunk.state_dict() if k in state})
        freeze(self.trunk, FROZEN)
        statistics = self.trunk.pretrained_cfg
        self.mean, self.std = (
            torch.tensor(statistics[key])[:, None, None] for key in ("mean", "std")
        )

    def optimizer(self) -> torch.optim.Optimizer:
        """Return AdamW; embeddings do not decay, as in the paper."""
        undecayed = {
            id(weight)
            for module in self.network.modules()
            if isinstance(module, nn.Embedding)
            for weight in module.parameters()
        }
        return torch.optim.AdamW(
            groups(self.network, self.trunk, RATE, TRUNK, WEIGHT_DECAY, undecayed)
        )

    def loss(self, batch: Batch) -> Tensor:
        """Return the sum of its own losses."""
        masks, labels = zip(
            *(self._targets(batch, image) for image in range(len(batch))), strict=True
        )
        found = self.network(
            pixel_values=self._pixels(batch.images),
            mask_labels=list(masks),
            class_labels=list(labels),
        )
        total: Tensor = found.loss.sum()
        return total

    def segment(self, image: np.ndarray) -> dict[str, PanopticMap]:
        """Segment a photo with each pair of thresholds."""
        pixels = torch.tensor(resize(image, self.size)).permute(2, 0, 1)[None]
        found = self.network(pixel_values=self._pixels(pixels))
        masks = functional.interpolate(
            found.masks_queries_logits, image.shape[:2], mode="bilinear", align_corners=False
        )[0].sigmoid()
        probabilities = found.class_queries_logits[0].softmax(-1)
        return {
            f"{score}, {visible}": self._fused(probabilities, masks, score, visible)
            for score in MIN_SCORES
            for visible in MIN_VISIBLE
        }

    def _pixels(self, images: Tensor) -> Tensor:
        return (images.float() / 255 - self.mean) / self.std

    def _targets(self, batch: Batch, image: int) -> tuple[Tensor, Tensor]:
        """Return the masks of an image's segments and their classes."""
        semantic, ids = batch.semantic[image], batch.instance_ids[image]
        things, stuff = self.categories.thing_labels, self.categories.stuff_labels
        present = [label for label in stuff if (semantic == label).any()]
        channels = batch.objects[image].channels.tolist()
        masks = [semantic == label for label in present]
        masks += [ids == number for number in range(1, len(channels) + 1)]
        labels = [*present, *(things[channel] for channel in channels)]
        empty = torch.zeros(0, *semantic.shape)
        return torch.stack(masks).float() if masks else empty, torch.tensor(
            labels, dtype=torch.int64
        )

    def _fused(
        self, probabilities: Tensor, masks: Tensor, min_score: float, min_visible: float
    ) -> PanopticMap:
        """Fuse queries by the paper's rules; those of a stuff class become one segment."""
        scores, labels = probabilities.max(-1)
        kept = (labels < len(self.categories)) & (scores > min_score)
        scores, labels, masks = scores[kept], labels[kept], masks[kept]
        ids = np.zeros(masks.shape[-2:], np.int32)
        segments: list[Segment] = []
        numbers: dict[int, int] = {}
        owner = (scores[:, None, None] * masks).argmax(0) if len(scores) else None
        for query, label in enumerate(labels.tolist()):
            own, claimed = owner == query, masks[query] >= 0.5  # noqa: PLR2004
            both = own & claimed
            if not both.any() or own.sum() < min_visible * claimed.sum():
                continue
            isthing = self.categories[label].isthing
            number = numbers.get(label, len(segments) + 1)
            if number > len(segments):
                segments.append(Segment(label=label, isthing=isthing, score=float(scores[query])))
            if not isthing:
                numbers[label] = number
            ids[both.numpy()] = number
        return PanopticMap.compact(ids, segments)


def mask2former(course: Course) -> Contestant:
    """Build Mask2Former."""
    return Mask2Former(course)
