"""Panoptic FPN, of torchvision's Mask R-CNN and its pyramid, on the same ImageNet trunk of timm.

Reference:
    Kirillov et al., "Panoptic Feature Pyramid Networks", CVPR 2019.
"""

from collections import OrderedDict

import numpy as np
import timm
import torch
from timm.layers import freeze_batch_norm_2d
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads, paste_masks_in_image
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from contest.course import MIN_SCORES, MIN_STUFF, Contestant, Course
from contest.trunk import FROZEN, NAME, freeze, groups
from jsisnet.data.sample import Batch, is_void
from jsisnet.inference.engine import resize
from jsisnet.model import imagenet
from jsisnet.panoptic import PanopticMap, Segment

WIDTH, HIDDEN = 128, 256
"""Channels of the pyramid, and of the box head, as in `lite`; the paper's are 256 and 1024."""

SIZES = ((8,), (16,), (32,), (64,), (128,))
"""Sizes of the anchors, half of what is usual, for photos of half the usual size."""

RATE, TRUNK, WEIGHT_DECAY, MAX_GRADIENT = 1e-3, 0.2, 0.05, 10.0
"""Those of ours; the paper's SGD is made for much longer trainings."""

SEMANTIC = 0.5
"""Weight of the semantic loss, the paper's."""

MAX_OVERLAP = 0.5
"""Part of a mask that others may cover, the paper's."""

COARSEST = 3
"""Number of times that the coarsest map is doubled to reach the finest."""


class SemanticHead(nn.Module):
    """Sum of the maps, each convolved and doubled until it has the size of the finest."""

    def __init__(self, labels: int):
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Sequential(*(self._stage(level > 0) for _ in range(max(level, 1))))
            for level in range(COARSEST + 1)
        )
        self.classify = nn.Conv2d(WIDTH, labels, 1)

    @staticmethod
    def _stage(doubles: bool) -> nn.Module:
        scale = 2.0 if doubles else 1.0
        return nn.Sequential(
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False),
            nn.GroupNorm(32, WIDTH),
            nn.ReLU(inplace=True),
            nn.Upsample(scale_factor=scale, mode="bilinear", align_corners=False),
        )

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Return logits at a quarter of the input's size."""
        enlarged = [level(each) for level, each in zip(self.levels, maps, strict=True)]
        return self.classify(torch.stack(enlarged).sum(0))


class Network(nn.Module):
    """Trunk, pyramid, and both heads."""

    def __init__(self, labels: int, things: int):
        super().__init__()
        stages = timm.create_model(NAME, features_only=True, out_indices=(1, 2, 3, 4))
        state = imagenet.read(NAME, "imagenet")
        stages.load_state_dict({name: state[name] for name in stages.state_dict()})
        freeze(stages, FROZEN)
        self.trunk = freeze_batch_norm_2d(stages)
        widths = stages.feature_info.channels()
        self.pyramid = FeaturePyramidNetwork(widths, WIDTH, extra_blocks=LastLevelMaxPool())
        self.semantic = SemanticHead(labels)
        ratios = ((0.5, 1.0, 2.0),) * len(SIZES)
        self.rpn = RegionProposalNetwork(
            AnchorGenerator(SIZES, ratios),
            RPNHead(WIDTH, len(ratios[0])),
            fg_iou_thresh=0.7,
            bg_iou_thresh=0.3,
            batch_size_per_image=256,
            positive_fraction=0.5,
            pre_nms_top_n={"training": 1000, "testing": 500},
            post_nms_top_n={"training": 500, "testing": 300},
            nms_thresh=0.7,
        )
        names = [str(level) for level in range(COARSEST + 1)]
        self.heads = RoIHeads(
            MultiScaleRoIAlign(names, output_size=7, sampling_ratio=2),
            TwoMLPHead(WIDTH * 7 * 7, HIDDEN),
            FastRCNNPredictor(HIDDEN, things + 1),
            fg_iou_thresh=0.5,
            bg_iou_thresh=0.5,
            batch_size_per_image=64,
            positive_fraction=0.25,
            bbox_reg_weights=None,
            score_thresh=0.05,
            nms_thresh=0.5,
            detections_per_img=100,
            mask_roi_pool=MultiScaleRoIAlign(names, output_size=14, sampling_ratio=2),
            mask_head=MaskRCNNHeads(WIDTH, (WIDTH,) * 4, 1),
            mask_predictor=MaskRCNNPredictor(WIDTH, WIDTH, things + 1),
        )

    def maps(self, pixels: Tensor) -> OrderedDict[str, Tensor]:
        """Return the maps of the pyramid, from fine to coarse."""
        stages = self.trunk(pixels)
        return self.pyramid(OrderedDict((str(i), stage) for i, stage in enumerate(stages)))


class PanopticFPN:
    """Panoptic FPN with torchvision's losses, and the paper's way from its branches to a map."""

    max_gradient = MAX_GRADIENT

    def __init__(self, course: Course) -> None:
        """Build the network."""
        self.categories, self.size = course.categories, course.size
        self.network = Network(len(self.categories), len(self.categories.thing_labels))
        statistics = timm.get_pretrained_cfg(NAME)
        self.mean, self.std = (
            torch.tensor(values)[:, None, None] for values in (statistics.mean, statistics.std)
        )

    def optimizer(self) -> torch.optim.Optimizer:
        """Return AdamW."""
        return torch.optim.AdamW(
            groups(self.network, self.network.trunk, RATE, TRUNK, WEIGHT_DECAY)
        )

    def loss(self, batch: Batch) -> Tensor:
        """Return the sum of torchvision's losses and the weighted cross-entropy of the pixels."""
        maps, images = self._maps(batch.images)
        targets = [
            {
                "boxes": objects.boxes,
                "labels": objects.channels + 1,
                "masks": torch.stack([ids == number + 1 for number in range(len(objects))]).byte()
                if len(objects)
                else ids.new_zeros(0, *ids.shape, dtype=torch.uint8),
            }
            for objects, ids in zip(batch.objects, batch.instance_ids, strict=True)
        ]
        proposals, rpn = self.network.rpn(images, maps, targets)
        _, heads = self.network.heads(maps, proposals, images.image_sizes, targets)
        logits = self._logits(maps, batch.images.shape[-2:])
        labels = batch.semantic.long().masked_fill(is_void(batch.semantic), -1)
        semantic = functional.cross_entropy(logits, labels, ignore_index=-1)
        terms = [*rpn.values(), *heads.values(), SEMANTIC * semantic]
        return torch.stack(terms).sum()

    def segment(self, image: np.ndarray) -> dict[str, PanopticMap]:
        """Segment a photo with each pair of thresholds."""
        pixels = torch.tensor(resize(image, self.size)).permute(2, 0, 1)[None]
        maps, images = self._maps(pixels)
        proposals, _ = self.network.rpn(images, maps)
        [found], _ = self.network.heads(maps, proposals, images.image_sizes)
        size = image.shape[:2]
        best = self._logits(maps, size)[0].argmax(0)
        scale = torch.tensor([size[1] / self.size[1], size[0] / self.size[0]]).repeat(2)
        masks = paste_masks_in_image(found["masks"], found["boxes"] * scale, size)[:, 0] >= 0.5  # noqa: PLR2004
        labels, scores = found["labels"].tolist(), found["scores"].tolist()
        return {
            f"{min_score}, {min_stuff}": self._merged(
                best, masks, labels, scores, min_score, min_stuff
            )
            for min_score in MIN_SCORES
            for min_stuff in MIN_STUFF
        }

    def _maps(self, images: Tensor) -> tuple[OrderedDict[str, Tensor], ImageList]:
        pixels = (images.float() / 255 - self.mean) / self.std
        height, width = pixels.shape[-2:]
        return self.network.maps(pixels), ImageList(pixels, [(height, width)] * len(pixels))

    def _logits(self, maps: OrderedDict[str, Tensor], size: tuple[int, ...]) -> Tensor:
        logits = self.network.semantic(list(maps.values())[: COARSEST + 1])
        return functional.interpolate(logits, tuple(size), mode="bilinear", align_corners=False)

    def _merged(
        self,
        best: Tensor,
        masks: Tensor,
        labels: list[int],
        scores: list[float],
        min_score: float,
        min_stuff: int,
    ) -> PanopticMap:
        """Lay things down by falling score, then fill the rest with stuff."""
        ids = torch.zeros(best.shape, dtype=torch.int32)
        segments = []
        things = self.categories.thing_labels
        for mask, label, score in zip(masks, labels, scores, strict=True):
            free = mask & (ids == 0)
            if score < min_score or free.sum() <= (1 - MAX_OVERLAP) * mask.sum():
                continue
            segments.append(Segment(label=things[label - 1], isthing=True, score=score))
            ids[free] = len(segments)
        for label in self.categories.stuff_labels:
            own = (best == label) & (ids == 0)
            if own.sum() >= min_stuff:
                segments.append(Segment(label=label, isthing=False))
                ids[own] = len(segments)
        return PanopticMap.compact(ids.numpy(), segments)


def panoptic_fpn(course: Course) -> Contestant:
    """Build Panoptic FPN."""
    return PanopticFPN(course)
