import pytest
import torch

from jsisnet.model.anchors import AnchorConfig, anchors

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


def test_a_row_of_cells_moves_the_anchors_by_the_stride():
    made = anchors((1, 3), AnchorConfig(sizes=(16.0,), ratios=(1.0,)), CPU)

    assert made.tolist() == [[-8, -8, 8, 8], [0, -8, 16, 8], [8, -8, 24, 8]]
