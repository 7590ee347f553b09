import math

import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.ops import roi_align

from jsisnet.training import losses
from jsisnet.training.losses import LossConfig, Losses
from networks import TINY, network

LOG2 = math.log(2)


def test_the_weights_are_those_of_table_2():
    weights = LossConfig()

    assert (
        weights.rpn_objectness,
        weights.rpn_boxes,
        weights.classes,
        weights.boxes,
        weights.masks,
        weights.semantic,
        weights.l2,
    ) == (1.0, 1.0, 1.0, 0.15, 0.3, 1.0, 5.5e-5)


def test_the_total_is_the_sum_of_the_seven_terms():
    terms = [torch.tensor(2.0**i) for i in range(7)]

    assert Losses(*terms).total().item() == 127


def test_objectness_is_averaged_over_the_sampled_anchors():
    logits = torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, math.log(3)]])

    loss = losses.objectness_loss(logits, torch.tensor([0, 1, 1]))

    assert loss.item() == pytest.approx((LOG2 + LOG2 + math.log(4 / 3)) / 3)


def test_the_box_loss_is_quadratic_below_one_and_linear_above():
    deltas = torch.tensor([[0.5, -0.5, 2.0, 0.0], [0.0, 0.0, 0.0, -3.0]])

    loss = losses.box_loss(deltas, torch.zeros(2, 4))

    assert loss.item() == pytest.approx(0.125 + 0.125 + 1.5 + 2.5)


def annotated(regions: int) -> torch.Tensor:
    """Return a mask of unlabelled classes in which all three things are annotated."""
    return torch.zeros(regions, 3, dtype=torch.bool)


def test_the_class_loss_is_the_cross_entropy():
    logits, channels = torch.randn(5, 4), torch.tensor([0, 3, 3, 1, 2])

    loss = losses.class_loss(logits, channels, annotated(5))

    torch.testing.assert_close(loss, functional.cross_entropy(logits, channels, reduction="sum"))


def test_background_may_be_an_unannotated_thing():
    logits = torch.zeros(2, 4)
    unlabelled = torch.tensor([[False, True, True], [False, True, True]])

    background = losses.class_loss(logits[:1], torch.tensor([3]), unlabelled[:1])
    thing = losses.class_loss(logits[:1], torch.tensor([0]), unlabelled[:1])

    assert background.item() == pytest.approx(math.log(4 / 3))
    assert thing.item() == pytest.approx(math.log(4))


def test_an_unlabelled_thing_is_not_pushed_down_by_the_background():
    logits = torch.zeros(1, 4, requires_grad=True)

    losses.class_loss(logits, torch.tensor([3]), torch.tensor([[False, True, False]])).backward()

    assert logits.grad[0, 1] < 0 < logits.grad[0, 0]


def test_masks_are_averaged_over_cells_and_positives():
    logits = torch.stack([torch.zeros(2, 2), torch.full((2, 2), 20.0)])
    targets = torch.stack([torch.ones(2, 2), torch.zeros(2, 2)])

    assert losses.mask_loss(logits, targets).item() == pytest.approx((LOG2 + 20) / 2)


def test_soft_mask_targets_are_matched_by_their_own_probability():
    targets = torch.full((1, 2, 2), 0.25)

    def slope(value: float) -> torch.Tensor:
        logits = torch.full((1, 2, 2), value, requires_grad=True)
        losses.mask_loss(logits, targets).backward()
        return logits.grad.sum()

    assert slope(math.log(0.25 / 0.75)).item() == pytest.approx(0, abs=1e-6)
    assert slope(0.0) > 0


def test_losses_without_samples_are_zero():
    assert losses.objectness_loss(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64)) == 0
    assert losses.box_loss(torch.zeros(0, 4), torch.zeros(0, 4)) == 0
    assert (
        losses.class_loss(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), annotated(0)) == 0
    )
    assert losses.mask_loss(torch.zeros(0, 2, 2), torch.zeros(0, 2, 2)) == 0


def test_losses_of_half_precision_are_computed_in_single_precision():
    logits = torch.tensor([[0.0, 30.0]], dtype=torch.bfloat16)

    assert losses.objectness_loss(logits, torch.tensor([1])).dtype == torch.float32
    things = torch.zeros(1, 1, dtype=torch.bool)
    assert losses.class_loss(logits, torch.tensor([1]), things).dtype == torch.float32


def test_kernels_decay_and_biases_and_normalisation_do_not():
    module = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ConvTranspose2d(2, 2, 4), nn.Linear(2, 3)
    )

    assert [tuple(kernel.shape) for kernel in losses.kernels(module)] == [
        (2, 1, 3, 3),
        (2, 2, 4, 4),
        (3, 2),
    ]


def test_frozen_kernels_do_not_decay():
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3))
    module[0].weight.requires_grad_(False)

    assert [id(kernel) for kernel in losses.kernels(module)] == [id(module[1].weight)]


def test_every_parameter_of_more_than_one_axis_is_a_kernel():
    made = network(TINY)

    kernels = {id(kernel) for kernel in losses.kernels(made)}

    assert kernels == {id(p) for p in made.parameters() if p.ndim > 1}


def test_l2_is_half_the_sum_of_squares():
    made = losses.half_sum_of_squares([torch.tensor([3.0, 4.0]), torch.tensor([[1.0]])])

    assert made.item() == pytest.approx((9 + 16 + 1) / 2)


def test_l2_carries_no_gradient():
    weight = nn.Parameter(torch.ones(2))

    assert not losses.half_sum_of_squares([weight]).requires_grad


def test_a_mask_target_is_the_share_of_the_object_in_each_cell():
    ids = torch.tensor([[1, 1, 2, 0]] * 4, dtype=torch.int32)
    region = torch.tensor([[0.0, 0.0, 3.0, 3.0]])

    first, second = (losses.mask_targets(ids, torch.tensor([i]), region, 3)[0] for i in range(2))

    # Each cell is a pixel. It is read a quarter of a pixel beside its middle, on both sides, so a
    # neighbour counts an eighth.
    assert first.tolist() == [[1, 7 / 8, 1 / 8]] * 3
    assert second.tolist() == [[0, 1 / 8, 6 / 8]] * 3


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [1, 7, 28])
def test_mask_targets_equal_roi_align_of_the_masks(seed, size):
    draw = torch.Generator().manual_seed(seed)
    height, width = 40, 56
    ids = torch.randint(0, 4, (5, 7), generator=draw, dtype=torch.int32)
    ids = ids.repeat_interleave(8, 0).repeat_interleave(8, 1)
    ends = torch.rand(60, 2, 2, generator=draw).sort(dim=1).values * torch.tensor([width, height])
    regions = ends.flatten(1)
    regions[:10, :2] = 0
    regions[5:15, 2:] = torch.tensor([width, height])
    objects = torch.randint(3, (60,), generator=draw)

    made = losses.mask_targets(ids, objects, regions, size)

    masks = (ids == torch.arange(1, 4)[:, None, None]).float()[:, None]
    rows = torch.cat([objects[:, None].float(), regions], dim=1)
    expected = roi_align(masks, rows, size, sampling_ratio=2, aligned=True)[:, 0]
    torch.testing.assert_close(made, expected, rtol=0, atol=2e-5)


def test_no_regions_have_no_mask_targets():
    none = torch.zeros(0, dtype=torch.int64)

    made = losses.mask_targets(torch.zeros(4, 4, dtype=torch.int32), none, torch.zeros(0, 4), 7)

    assert made.shape == (0, 7, 7)
