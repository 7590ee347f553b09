import pytest
import torch
from torch import nn
from torch.nn import functional

from jsisnet.model.semantic import PyramidPooling, SemanticBranch, SemanticConfig


def branch(channels: int = 4, num_labels: int = 3, **changes) -> SemanticBranch:
    torch.manual_seed(0)
    return SemanticBranch(channels, num_labels, SemanticConfig(channels=4, **changes)).eval()


@pytest.mark.parametrize("size", [(8, 12), (9, 13), (1, 1)])
def test_logits_are_twice_as_fine_as_the_shared_map(size):
    made = branch()(torch.rand(2, 4, *size))

    assert made.shape == (2, 3, 2 * size[0], 2 * size[1])


def test_features_are_pooled_to_1_2_3_and_6_cells_a_side():
    pooling = PyramidPooling(4, SemanticConfig(channels=4))
    sides = []
    for projection in pooling.projections:
        projection.register_forward_pre_hook(lambda _, x: sides.append(tuple(x[0].shape[-2:])))

    pooling.eval()(torch.rand(1, 4, 8, 12))

    assert sides == [(1, 1), (2, 2), (3, 3), (6, 6)]


def test_the_first_level_of_the_pyramid_is_the_mean_of_the_map():
    pooling = PyramidPooling(1, SemanticConfig(channels=1, bins=(1,), norm="none"))
    nn.init.ones_(pooling.projections[0][0].weight)
    pooling.fuse = nn.Identity()

    made = pooling(torch.tensor([[[[1.0, 2.0, 3.0]]]]))

    assert made.tolist() == [[[[1, 2, 3]], [[2, 2, 2]]]]


def test_the_map_and_each_projection_are_fused():
    pooling = PyramidPooling(2048, SemanticConfig())

    assert pooling.fuse[0].weight.shape == (512, 2048 + 4 * 512, 3, 3)


def test_the_deconvolution_has_a_4x4_kernel_of_each_label_for_each_label():
    upsample = branch(num_labels=5).upsample

    assert upsample.weight.shape == (5, 5, 4, 4)
    assert (upsample.stride, upsample.padding) == ((2, 2), (1, 1))


def test_hybrid_upsampling_starts_as_a_bilinear_resize():
    upsample = branch().upsample
    logits = torch.randn(1, 3, 6, 7)

    made = upsample(logits)

    expected = functional.interpolate(logits, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(made[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])


def test_initial_logits_are_undecided():
    made = branch()(torch.rand(1, 4, 8, 8))

    torch.testing.assert_close(made.softmax(dim=1), torch.full_like(made, 1 / 3), atol=0.05, rtol=0)


@pytest.mark.parametrize("training", [True, False])
def test_group_norm_works_on_maps_pooled_to_a_single_cell(training):
    semantic = branch(norm="group").train(training)

    assert semantic(torch.rand(1, 4, 6, 6)).shape == (1, 3, 12, 12)


def test_nothing_is_dropped_by_default():
    features = torch.rand(2, 4, 6, 6)

    assert branch(norm="none").dropout.p == 0
    torch.testing.assert_close(*(branch(norm="none")(features) for _ in range(2)))


def test_dropout_drops_whole_channels_in_training():
    semantic = branch(dropout=0.5).train()

    dropped = semantic.dropout(torch.ones(1, 200, 2, 2))[0].sum(dim=(1, 2))

    assert set(dropped.tolist()) == {0, 8}


@pytest.mark.parametrize(("name", "value"), [("bins", (1, 0)), ("dropout", 1.0), ("dropout", -0.1)])
def test_invalid_bins_and_dropouts_are_refused(name, value):
    with pytest.raises(ValueError, match=rf"semantic\.{name} is "):
        SemanticConfig(**{name: value})


def test_a_branch_may_begin_with_a_reduction():
    semantic = branch(channels=16, reduce=True)

    assert semantic.reduce[0].weight.shape == (4, 16, 3, 3)
    assert semantic(torch.rand(1, 16, 6, 6)).shape == (1, 3, 12, 12)


def test_a_branch_may_begin_with_a_last_stage_of_its_own():
    with torch.device("meta"):
        semantic = branch(channels=1024, own_last_stage=True, reduce=True)

        made = semantic(torch.rand(1, 1024, 6, 6))

    dilations = [
        layer.dilation[0]
        for layer in semantic.last_stage.modules()
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3)
    ]
    assert dilations == [2, 4, 4]
    assert semantic.reduce[0].weight.shape == (4, 2048, 3, 3)
    assert made.shape == (1, 3, 12, 12)
