from dataclasses import replace

import pytest
import torch
from torch import nn

from jsisnet.model.boxes import joined_with_image
from jsisnet.model.methods import TrunkShape
from jsisnet.model.roi import RoIHead
from jsisnet.model.roi_last_stage import LastStageConfig
from jsisnet.model.roi_light import LightConfig

LAST_STAGE = LastStageConfig(width=2, mask_channels=8, mask_size=14)
LIGHT = LightConfig(width=8, hidden=12, norm="group", mask_channels=8, mask_size=14)


def shape(channels: int) -> TrunkShape:
    return TrunkShape(channels=channels, strides=(8,), stride=8)


def head(channels: int = 4, num_things: int = 3, *, config=LAST_STAGE, **changes) -> RoIHead:
    torch.manual_seed(0)
    return replace(config, **changes).build(shape(channels), num_things).eval()


def extract(made: RoIHead, features: torch.Tensor, regions: list[torch.Tensor]) -> torch.Tensor:
    return made.extract({8: features}, joined_with_image(regions))


def reader(**changes) -> RoIHead:
    """Return a head whose features are the cells it extracts."""
    made = head(1, **changes)
    made.stage = nn.Identity()
    return made


def test_regions_are_in_pixels_of_the_network_input():
    features = torch.arange(8.0).expand(1, 1, 8, 8)
    region = torch.tensor([[16.0, 16.0, 48.0, 48.0]])

    made = extract(reader(crop=4, pool=1), features, [region])

    # The region covers columns 2 to 5, and a cell of the map has its centre in its middle.
    assert made.tolist() == [[[[2, 3, 4, 5]] * 4]]


def test_regions_are_extracted_at_twice_the_cells_and_max_pooled():
    features = torch.arange(8.0).expand(1, 1, 8, 8)
    region = torch.tensor([[16.0, 16.0, 48.0, 48.0]])

    made = extract(reader(crop=4, pool=2), features, [region])

    assert made.tolist() == [[[[3, 5]] * 2]]


def test_the_paper_reads_14x14_cells_and_pools_them_to_7x7():
    region = torch.tensor([[0.0, 0.0, 64.0, 64.0]])

    assert extract(reader(), torch.rand(1, 1, 8, 8), [region]).shape == (1, 1, 7, 7)


def test_regions_of_all_images_are_joined_in_order():
    features = torch.tensor([10.0, 20.0])[:, None, None, None].expand(2, 1, 8, 8)
    region = torch.tensor([[0.0, 0.0, 32.0, 32.0]])

    made = extract(reader(), features, [region, region.expand(2, 4)])

    assert made[:, 0, 0, 0].tolist() == [10, 20, 20]


def test_class_and_box_come_from_the_mean_of_the_last_stage():
    roi = head()
    regions = torch.rand(2, 8, 7, 7)

    logits, deltas = roi.classify_and_refine(regions)

    mean = regions.mean(dim=(2, 3))
    torch.testing.assert_close(logits, roi.classify(mean))
    torch.testing.assert_close(deltas.flatten(1), roi.deltas(mean))


@pytest.mark.parametrize("config", [LAST_STAGE, LIGHT])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_every_region_has_class_logits_and_a_box_and_mask_per_thing_class(config, count):
    roi = head(config=config)
    regions = extract(roi, torch.rand(1, 4, 8, 12), [torch.rand(count, 4).cumsum(dim=1) * 20])

    logits, deltas = roi.classify_and_refine(regions)

    assert logits.shape == (count, 4)
    assert deltas.shape == (count, 3, 4)
    assert roi.mask(regions).shape == (count, 3, 14, 14)


def test_images_without_regions_are_valid_input():
    none = torch.zeros(0, 4)

    assert extract(head(), torch.rand(2, 4, 8, 12), [none, none]).shape == (0, 8, 7, 7)


def test_an_empty_box_has_finite_features():
    regions = extract(head(), torch.rand(1, 4, 8, 8), [torch.zeros(1, 4)])

    assert regions.isfinite().all()


def test_the_paper_head_is_the_last_stage_of_resnet50_from_512_to_2048_channels():
    with torch.device("meta"):
        roi = LastStageConfig().build(shape(512), 80)

    assert roi.stage[0].conv1.weight.shape == (512, 512, 1, 1)
    assert roi.stage[2].conv3.weight.shape == (2048, 512, 1, 1)
    assert roi.classify.weight.shape == (81, 2048)
    assert roi.deltas.weight.shape == (320, 2048)


def test_the_paper_mask_branch_has_two_convolutions_of_256_channels_and_28x28_cells():
    with torch.device("meta"):
        roi = LastStageConfig().build(shape(512), 80)
        made = roi.mask(torch.rand(2, 2048, 7, 7))

    assert roi.mask.coarse[0].weight.shape == (256, 2048, 3, 3)
    assert roi.mask.fine[0].weight.shape == (256, 256, 3, 3)
    assert made.shape == (2, 80, 28, 28)


@pytest.mark.parametrize("pool", [0, 8])
def test_more_pooling_than_cells_is_refused(pool):
    with pytest.raises(ValueError, match=rf"roi\.pool is {pool}; expected 1 to roi\.crop, 7"):
        LastStageConfig(crop=7, pool=pool)


@pytest.mark.parametrize("norm", ["frozen", "group", "batch_fixed_affine"])
def test_the_normalisation_reaches_the_last_stage(norm):
    assert head(norm=norm).stage.norm_kind == norm


def test_a_last_stage_without_normalisation_is_refused():
    with pytest.raises(ValueError, match=r"roi\.norm is none, but the convolutions of the last"):
        LastStageConfig(norm="none")
    LightConfig(norm="none")


def test_classes_may_share_their_boxes():
    roi = head(class_agnostic_boxes=True)

    _, deltas = roi.classify_and_refine(torch.rand(5, 8, 7, 7))

    assert roi.deltas.weight.shape == (4, 8)
    assert deltas.shape == (5, 3, 4)
    assert torch.equal(deltas[:, 0], deltas[:, 2])


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_mask_branch_has_as_many_convolutions_as_are_asked_for(count):
    roi = head(mask_convolutions=count)

    kernels = [m.weight.shape[1:] for m in roi.mask.modules() if isinstance(m, nn.Conv2d)]

    assert kernels == [(8, 3, 3)] * count + [(8, 1, 1)]
    assert roi.mask(torch.rand(2, 8, 7, 7)).shape == (2, 3, 14, 14)


def test_the_mask_branch_of_the_tensorflow_api_resizes_first_and_has_3x3_classifiers():
    roi = head(mask_resize="before_first", mask_kernel=3, mask_size=33, mask_norm="none")
    seen = []
    roi.mask.coarse.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape))

    made = roi.mask(torch.rand(2, 8, 7, 7))

    assert seen == [(2, 8, 33, 33)]
    assert made.shape == (2, 3, 33, 33)


def test_a_mask_branch_without_convolutions_is_refused():
    with pytest.raises(ValueError, match=r"roi\.mask_convolutions is 0; expected 1 to 64"):
        LightConfig(mask_convolutions=0)


def test_regions_are_read_from_a_map_of_another_stride():
    features = torch.arange(8.0).expand(1, 1, 8, 8)
    trunk = TrunkShape(channels=1, strides=(16,), stride=16)
    made = LastStageConfig(width=2, mask_channels=8, crop=4, pool=1).build(trunk, 3)
    made.stage = nn.Identity()

    cells = made.extract({16: features}, torch.tensor([[0, 32.0, 32.0, 96.0, 96.0]]))

    assert cells.tolist() == [[[[2, 3, 4, 5]] * 4]]


def test_an_untrained_head_is_undecided():
    roi = head()

    logits, deltas = roi.classify_and_refine(torch.rand(4, 8, 7, 7))

    assert logits.abs().max() < 0.1
    assert deltas.abs().max() < 0.1
    assert roi.mask(torch.rand(4, 8, 7, 7)).abs().max() < 0.5
