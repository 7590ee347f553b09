import pytest
import torch
from torch import nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

from jsisnet.model import boxes
from jsisnet.model.rpn import (
    UNSCALED,
    AnchorConfig,
    ProposalConfig,
    Proposals,
    RegionProposalNetwork,
    anchors,
    propose,
)

SIZE = (64, 96)
YES, NO = (-5.0, 5.0), (5.0, -5.0)
"""Logits of (background, object)."""


def proposed(
    logits: list[tuple[float, float]],
    anchors: list[list[float]],
    *,
    deltas: torch.Tensor | None = None,
    **limits,
) -> Proposals:
    where = torch.tensor(anchors, dtype=torch.float32).view(-1, 4)
    return propose(
        torch.tensor([logits], dtype=torch.float32).view(1, -1, 2),
        torch.zeros(1, len(where), 4) if deltas is None else deltas,
        where,
        SIZE,
        ProposalConfig(**limits),
    )


def boxes_of(proposals: Proposals) -> list[list[float]]:
    return proposals.of_image(0).tolist()


def random_boxes(count: int, seed: int) -> torch.Tensor:
    draw = torch.rand(count, 4, generator=torch.Generator().manual_seed(seed))
    corner = draw[:, :2] * 60
    return torch.cat([corner, corner + 2 + draw[:, 2:] * 30], dim=1)


def plain_nms(candidates: torch.Tensor, scores: torch.Tensor, max_overlap: float) -> list[int]:
    """Keep the best box, drop those that overlap it, and repeat."""
    left = scores.argsort(descending=True).tolist()
    kept = []
    while left:
        best = left.pop(0)
        kept.append(best)
        overlaps = boxes.iou(candidates[best : best + 1], candidates)[0]
        left = [other for other in left if overlaps[other] <= max_overlap]
    return kept


def test_logits_and_offsets_come_in_the_order_of_the_anchors():
    rpn = RegionProposalNetwork(1, 1, AnchorConfig(sizes=(8.0,), ratios=(1.0, 2.0)))
    for layer in (rpn.hidden, rpn.objectness, rpn.deltas):
        nn.init.zeros_(layer.weight)
    rpn.hidden.weight.data[0, 0, 1, 1] = 1
    rpn.objectness.weight.data[:, 0, 0, 0] = torch.tensor([1.0, 2, 3, 4])
    rpn.deltas.weight.data[:, 0, 0, 0] = torch.tensor([1.0, 2, 3, 4, 5, 6, 7, 8])

    logits, deltas = rpn({8: torch.tensor([[[[1.0, 10.0], [100.0, 1000.0]]]])})

    assert logits[0, :4].tolist() == [[1, 2], [3, 4], [10, 20], [30, 40]]
    assert logits[0, 6].tolist() == [1000, 2000]
    assert deltas[0, :3].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8], [10, 20, 30, 40]]


def test_the_head_is_a_3x3_convolution_and_2_plus_4_outputs_an_anchor():
    rpn = RegionProposalNetwork(32, 64, AnchorConfig())

    assert rpn.hidden.weight.shape == (64, 32, 3, 3)
    assert rpn.objectness.weight.shape == (2 * 18, 64, 1, 1)
    assert rpn.deltas.weight.shape == (4 * 18, 64, 1, 1)


def test_an_untrained_head_is_undecided_and_moves_nothing():
    torch.manual_seed(0)
    rpn = RegionProposalNetwork(16, 16, AnchorConfig())

    logits, deltas = rpn({8: torch.rand(1, 16, 4, 4)})

    assert logits.abs().max() < 0.02
    assert deltas.abs().max() < 0.02


def test_proposals_come_best_first():
    made = proposed([(0, 1), (0, 3), (0, 2)], [[0, 0, 8, 8], [20, 0, 28, 8], [40, 0, 48, 8]])

    assert boxes_of(made) == [[20, 0, 28, 8], [40, 0, 48, 8], [0, 0, 8, 8]]


def test_only_the_difference_of_the_two_logits_counts():
    made = proposed([(50, 51), (-9, -7)], [[0, 0, 8, 8], [20, 0, 28, 8]])

    assert boxes_of(made)[0] == [20, 0, 28, 8]


def test_offsets_move_the_anchors_unscaled():
    deltas = torch.tensor([[[0.5, 0.25, 0.0, 0.0]]])

    made = proposed([YES], [[0, 0, 8, 8]], deltas=deltas)

    assert boxes_of(made) == [[4, 2, 12, 10]]


def test_proposals_are_clipped_to_the_image():
    made = proposed([YES, YES], [[-8, -8, 8, 8], [80, 50, 200, 100]])

    assert sorted(boxes_of(made)) == [[0, 0, 8, 8], [80, 50, 96, 64]]


def test_anchors_outside_the_image_are_dropped():
    made = proposed([YES, YES, NO], [[-9, 0, 0, 8], [96, 0, 99, 8], [0, 0, 8, 8]])

    assert boxes_of(made) == [[0, 0, 8, 8]]


def test_boxes_of_a_thousandth_of_a_pixel_are_dropped():
    made = proposed([YES, YES], [[0, 0, 8, 0.0009], [0, 0, 8, 0.002]])

    assert len(boxes_of(made)) == 1


def test_no_proposals_are_all_padding():
    made = proposed([YES], [[-9, -9, -1, -1]], max_proposals=3)

    assert made.valid.tolist() == [[False] * 3]
    assert made.boxes.abs().max() == 0


def test_no_anchors_give_no_proposals():
    assert not proposed([], [], max_proposals=3).valid.any()


def test_proposals_are_padded_with_zeros_to_a_fixed_number():
    made = proposed([YES], [[0, 0, 8, 8]], max_proposals=3)

    assert made.boxes.tolist() == [[[0, 0, 8, 8], [0, 0, 0, 0], [0, 0, 0, 0]]]
    assert made.valid.tolist() == [[True, False, False]]


def test_of_two_overlapping_proposals_the_one_of_lower_objectness_is_dropped():
    anchors = [[0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 10, 4]]

    made = proposed([(0, 3), (0, 2), (0, 1)], anchors, max_overlap=0.5)

    # An IoU of just one half is not too much; the third overlaps the second by 4/5.
    assert boxes_of(made) == [[0, 0, 10, 10], [0, 0, 10, 5]]


def test_only_the_best_candidates_enter_suppression():
    anchors = [[0, 0, 10, 10], [0, 0, 10, 9], [50, 0, 60, 10]]

    made = proposed([(0, 3), (0, 2), (0, 1)], anchors, max_candidates=2)

    assert boxes_of(made) == [[0, 0, 10, 10]]


def test_at_most_max_proposals_are_kept():
    anchors = [[20.0 * i, 0, 20.0 * i + 9, 9] for i in range(4)]

    made = proposed([YES] * 4, anchors, max_proposals=2)

    assert made.boxes.shape == (1, 2, 4)
    assert made.valid.all()


@pytest.mark.parametrize("seed", range(5))
def test_suppression_agrees_with_a_plain_loop(seed):
    anchors = random_boxes(80, seed)
    logits = torch.randn(2, 80, 2, generator=torch.Generator().manual_seed(seed))
    config = ProposalConfig(max_overlap=0.3, max_proposals=30, max_candidates=60)

    made = propose(logits, torch.zeros(2, 80, 4), anchors, (200, 200), config)

    for image in range(2):
        scores, rows = (logits[image, :, 1] - logits[image, :, 0]).topk(60)
        kept = rows[plain_nms(anchors[rows], scores, 0.3)[:30]]
        torch.testing.assert_close(made.of_image(image), anchors[kept], rtol=0, atol=1e-4)


def test_the_paper_keeps_1000_of_6000_candidates_at_an_iou_of_one_half():
    config = ProposalConfig()

    assert (config.max_candidates, config.max_overlap, config.max_proposals) == (6000, 0.5, 1000)
    assert UNSCALED == (1, 1, 1, 1)


@pytest.mark.parametrize("name", ["max_candidates", "max_proposals"])
def test_a_limit_of_zero_is_refused(name):
    with pytest.raises(ValueError, match="expected 1 to"):
        ProposalConfig(**{name: 0})


def test_no_gradient_reaches_the_network_through_proposals():
    logits = torch.zeros(1, 1, 2, requires_grad=True)
    deltas = torch.zeros(1, 1, 4, requires_grad=True)

    made = propose(logits, deltas, torch.tensor([[0.0, 0, 8, 8]]), SIZE, ProposalConfig())

    assert not made.boxes.requires_grad


def test_a_huge_offset_stays_finite():
    made = proposed([YES], [[0, 0, 8, 8]], deltas=torch.full((1, 1, 4), 1e4))

    assert made.boxes.isfinite().all()


CPU = torch.device("cpu")


def test_anchors_of_a_2x2_grid():
    made = anchors((2, 2), AnchorConfig(sizes=(8.0,), ratios=(1.0, 4.0)), CPU)

    assert made.tolist() == [
        [-4, -4, 4, 4],
        [-2, -8, 2, 8],
        [4, -4, 12, 4],
        [6, -8, 10, 8],
        [-4, 4, 4, 12],
        [-2, 0, 2, 16],
        [4, 4, 12, 12],
        [6, 0, 10, 16],
    ]


def test_anchors_of_a_cell_are_ordered_by_size_then_ratio():
    made = anchors((1, 1), AnchorConfig(sizes=(4.0, 8.0), ratios=(1.0, 4.0)), CPU)

    assert (made[:, 2:] - made[:, :2]).tolist() == [[4, 4], [2, 8], [8, 8], [4, 16]]


def test_every_ratio_keeps_the_area():
    config = AnchorConfig(sizes=(32.0,), ratios=(0.25, 0.5, 1.0, 2.0, 4.0))

    sides = anchors((1, 1), config, CPU)[:, 2:] * 2

    torch.testing.assert_close(sides.prod(dim=1), torch.full((5,), 32.0**2))
    torch.testing.assert_close(sides[:, 1] / sides[:, 0], torch.tensor(config.ratios))


def test_the_paper_has_18_anchors_a_cell_on_coco_and_30_on_vistas():
    vistas = AnchorConfig(
        sizes=(8.0, 16.0, 32.0, 64.0, 128.0, 256.0), ratios=(0.25, 0.5, 1.0, 2.0, 4.0)
    )

    assert AnchorConfig().per_cell == 18
    assert len(anchors((50, 50), AnchorConfig(), CPU)) == 45_000
    assert vistas.per_cell == 30
    assert len(anchors((64, 128), vistas, CPU)) == 245_760


@pytest.mark.parametrize("values", [(), (0.0,), (8.0, -1.0)])
@pytest.mark.parametrize("name", ["sizes", "ratios"])
def test_anchors_need_positive_sizes_and_ratios(name, values):
    with pytest.raises(ValueError, match=rf"anchors\.{name} is .*positive"):
        AnchorConfig(**{name: values})


def test_a_coarser_map_has_its_anchors_further_apart():
    made = anchors((1, 3), AnchorConfig(sizes=(16.0,), ratios=(1.0,)), CPU, stride=16)

    assert made[:, 0].tolist() == [-8, 8, 24]


def test_a_row_of_cells_moves_the_anchors_by_the_stride():
    made = anchors((1, 3), AnchorConfig(sizes=(16.0,), ratios=(1.0,)), CPU)

    assert made.tolist() == [[-8, -8, 8, 8], [0, -8, 16, 8], [8, -8, 24, 8]]


def test_sizes_are_spread_over_the_maps_in_order():
    config = AnchorConfig(sizes=(8.0, 12.0, 16.0, 24.0), ratios=(1.0, 2.0))

    fine, coarse = config.spread(2)

    assert (fine.sizes, coarse.sizes) == ((8.0, 12.0), (16.0, 24.0))
    assert fine.per_cell == 4
    with pytest.raises(ValueError, match=r"sizes has 4 numbers; expected a multiple of 3"):
        config.spread(3)


def test_rounded_anchors_are_those_of_torchvision():
    ratios = (0.5, 1.0, 2.0)
    peer = AnchorGenerator(sizes=((32,), (64,)), aspect_ratios=(ratios,) * 2)
    maps = [torch.zeros(1, 1, 6, 8), torch.zeros(1, 1, 3, 4)]
    config = AnchorConfig(sizes=(32.0, 64.0), ratios=ratios, rounded=True)

    made = [
        anchors((6 // number, 8 // number), each, CPU, 8 * number)
        for number, each in enumerate(config.spread(2), 1)
    ]

    (expected,) = peer(ImageList(torch.zeros(1, 3, 48, 64), [(48, 64)]), maps)
    assert torch.equal(torch.cat(made), expected)


def test_the_head_runs_on_each_map_in_turn():
    torch.manual_seed(0)
    rpn = RegionProposalNetwork(4, 8, AnchorConfig(sizes=(8.0,)), convolutions=2)
    maps = {4: torch.rand(1, 4, 6, 8), 8: torch.rand(1, 4, 3, 4)}

    together = rpn(maps)

    apart = [rpn({stride: features}) for stride, features in maps.items()]
    for number in (0, 1):
        assert torch.equal(together[number], torch.cat([each[number] for each in apart], dim=1))


def test_boxes_of_different_maps_neither_compete_nor_suppress_each_other():
    placed = torch.tensor([[0.0, 0, 8, 8], [1, 0, 9, 8], [0, 0, 8, 8], [20, 20, 28, 28]])
    scores = torch.tensor([4.0, 3, 2, 1])
    logits = torch.stack([-scores, scores], dim=1)[None]
    config = ProposalConfig(max_candidates=2, max_overlap=0.5, max_proposals=3)

    made = propose(logits, torch.zeros(1, 4, 4), placed, (32, 32), config, (2, 2))

    assert made.of_image(0).tolist() == [[0, 0, 8, 8], [0, 0, 8, 8], [20, 20, 28, 28]]
