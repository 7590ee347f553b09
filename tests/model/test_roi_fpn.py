from dataclasses import replace

import pytest
import torch
from torch import nn
from torchvision.models.detection.mask_rcnn import maskrcnn_resnet50_fpn, maskrcnn_resnet50_fpn_v2
from torchvision.ops import MultiScaleRoIAlign

from jsisnet.model.methods import TrunkShape
from jsisnet.model.roi_fpn import RoIFPNConfig, RoIFPNHead

STRIDES = (4, 8, 16, 32, 64)
TRUNK = TrunkShape(channels=6, strides=STRIDES, stride=8)
SMALL = RoIFPNConfig(
    canonical_size=64.0, crop=3, hidden=8, mask_crop=4, mask_channels=4, mask_convolutions=1
)
SIZE = (128, 192)

V1 = RoIFPNConfig(aligned=False)
V2 = RoIFPNConfig(aligned=False, convolutions=4, layers=1, norm="batch", mask_norm="batch")


def head(**changes) -> RoIFPNHead:
    torch.manual_seed(0)
    return replace(SMALL, **changes).build(TRUNK, 3).eval()


def maps() -> dict[int, torch.Tensor]:
    torch.manual_seed(1)
    return {of: torch.randn(2, 6, *(-(-side // of) for side in SIZE)) for of in STRIDES}


def regions(count: int = 40) -> torch.Tensor:
    """Return random boxes of two images; among them the whole image, a tiny and an empty box."""
    torch.manual_seed(2)
    corners = torch.rand(count, 2, 2).sort(dim=1).values.flatten(1)
    boxes = corners * torch.tensor([SIZE[1], SIZE[0]] * 2)
    boxes[:3] = torch.tensor([[0, 0, SIZE[1], SIZE[0]], [190, 125, 192, 128], [0, 0, 0, 0]])
    return torch.cat([torch.arange(count)[:, None] % 2, boxes], dim=1)


def test_regions_are_read_as_torchvision_reads_them():
    levels = ["4", "8", "16", "32"]
    peer = MultiScaleRoIAlign(levels, 3, 2, canonical_scale=64, canonical_level=4)
    rows, shared = regions(), maps()
    order = rows[:, 0].argsort(stable=True)
    listed = [rows[rows[:, 0] == image, 1:] for image in (0, 1)]

    made = head(aligned=False).extract(shared, rows)

    expected = peer({str(stride): each for stride, each in shared.items()}, listed, [SIZE, SIZE])
    assert torch.equal(made[order], expected)


def test_each_region_is_read_in_the_map_of_its_size():
    shared = {of: torch.full((1, 6, 128 // of, 192 // of), float(of)) for of in STRIDES}
    sides = torch.tensor([1.0, 31, 33, 63, 65, 127])
    rows = torch.stack([sides * 0, sides * 0, sides * 0, sides, sides], dim=1)

    made = head().extract(shared, rows)

    assert made.mean(dim=(1, 2, 3)).tolist() == [4, 4, 8, 8, 16, 16]


@pytest.mark.parametrize("count", [0, 1, 5])
def test_every_region_has_class_logits_and_a_box_and_mask_per_thing_class(count):
    roi, rows, shared = head(), regions()[:count], maps()

    features = roi.extract(shared, rows)
    logits, deltas = roi.classify_and_refine(features)

    assert logits.shape == (count, 4)
    assert deltas.shape == (count, 3, 4)
    assert roi.mask(roi.extract_for_masks(shared, rows, features)).shape == (count, 3, 8, 8)


def shapes(module: nn.Module) -> list[tuple[int, ...]]:
    return sorted(tuple(parameter.shape) for parameter in module.parameters())


@pytest.mark.parametrize(
    ("config", "peer"), [(V1, maskrcnn_resnet50_fpn), (V2, maskrcnn_resnet50_fpn_v2)]
)
def test_the_settings_cover_torchvisions_heads(config, peer):
    with torch.device("meta"):
        theirs = peer(weights=None, weights_backbone=None, num_classes=91).roi_heads
        trunk = TrunkShape(channels=256, strides=STRIDES, stride=8)
        ours = config.build(trunk, 90)

    # torchvision has box offsets for the background, too.
    layers = [theirs.box_head, theirs.mask_head, theirs.box_predictor.cls_score]
    expected = [shape for each in layers for shape in shapes(each)]
    deltas = {(90 * 4, 1024), (90 * 4,)}
    masks = [shape for shape in shapes(theirs.mask_predictor) if 91 not in shape]
    found = [shape for shape in shapes(ours) if shape not in deltas and 90 not in shape]
    assert sorted(expected + masks) == found


def test_a_trunk_with_one_map_is_refused():
    single = TrunkShape(channels=6, strides=(8,), stride=8)

    with pytest.raises(ValueError, match=r"--network\.roi\.head fpn .*neck pyramid$"):
        RoIFPNConfig().build(single, 3)


@pytest.mark.parametrize(
    ("name", "value"), [("layers", 0), ("mask_crop", 0), ("canonical_size", 0.0)]
)
def test_invalid_settings_are_refused(name, value):
    with pytest.raises(ValueError, match=rf"roi\.{name} is "):
        RoIFPNConfig(**{name: value})
