import pytest
import torch
from torch import nn
from torch.nn import functional

from jsisnet.model.methods import TrunkShape
from jsisnet.model.psp import PSP, PSPConfig, PyramidPooling


def branch(channels: int = 4, num_labels: int = 3, **changes) -> PSP:
    torch.manual_seed(0)
    return PSPConfig(channels=4, **changes).build(shape(channels), num_labels).eval()


def shape(channels: int, stride: int = 8) -> TrunkShape:
    return TrunkShape(channels=channels, strides=(stride,), stride=stride)


@pytest.mark.parametrize("size", [(8, 12), (9, 13), (1, 1)])
def test_logits_are_twice_as_fine_as_the_shared_map(size):
    made = branch()({8: torch.rand(2, 4, *size)})

    assert made.shape == (2, 3, 2 * size[0], 2 * size[1])


def test_features_are_pooled_to_1_2_3_and_6_cells_a_side():
    pooling = PyramidPooling(4, PSPConfig(channels=4))
    sides = []
    for projection in pooling.projections:
        projection.register_forward_pre_hook(lambda _, x: sides.append(tuple(x[0].shape[-2:])))

    pooling.eval()(torch.rand(1, 4, 8, 12))

    assert sides == [(1, 1), (2, 2), (3, 3), (6, 6)]


def plain(pooling: PyramidPooling, features: torch.Tensor) -> torch.Tensor:
    """Pool, project, resize, concatenate and fuse, as the paper says it."""
    levels = [features]
    for cells, project in zip(pooling.bins, pooling.projections, strict=True):
        pooled = project(functional.adaptive_avg_pool2d(features, cells))
        levels.append(functional.interpolate(pooled, features.shape[-2:], mode="bilinear"))
    return pooling.fuse(torch.cat(levels, dim=1))


def pyramid(norm: str = "batch", bins: tuple[int, ...] = (1, 2, 3, 6)) -> PyramidPooling:
    torch.manual_seed(0)
    return PyramidPooling(8, PSPConfig(channels=5, bins=bins, norm=norm))


@pytest.mark.parametrize("norm", ["batch", "frozen", "none"])
@pytest.mark.parametrize("grid", [(8, 12), (7, 13), (48, 48), (2, 5), (1, 1)])
def test_the_fused_pyramid_equals_the_plain_formula(grid, norm):
    pooling = pyramid(norm).eval()
    features = torch.randn(2, 8, *grid)

    with torch.no_grad():
        torch.testing.assert_close(
            pooling(features), plain(pooling, features), rtol=1e-5, atol=1e-5
        )


def test_the_fused_pyramid_has_the_gradients_of_the_plain_formula():
    pooling = pyramid().double().train()
    features = torch.randn(2, 8, 7, 10, dtype=torch.float64, requires_grad=True)
    wanted = [features, *pooling.parameters()]
    with torch.inference_mode():
        pooling(features)  # what it remembers must serve training too

    made = torch.autograd.grad(pooling(features).pow(2).sum(), wanted)

    expected = torch.autograd.grad(plain(pooling, features).pow(2).sum(), wanted)
    for one, other in zip(made, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_the_pyramid_pools_under_autocast():
    pooling = pyramid().eval()
    features = torch.randn(2, 8, 9, 12)

    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        made = pooling(features)

    torch.testing.assert_close(made.float(), plain(pooling, features), rtol=0.05, atol=0.05)


def test_exporting_the_pyramid_leaves_nothing_behind():
    pooling = pyramid(bins=(1, 4)).eval()
    features = torch.randn(2, 8, 6, 9)
    dynamic = ({0: torch.export.Dim("batch")},)

    exported = torch.export.export(pooling, (features,), dynamic_shapes=dynamic, strict=False)

    more = torch.randn(3, 8, 6, 9)
    with torch.no_grad():
        torch.testing.assert_close(exported.module()(more), pooling(more))
        torch.testing.assert_close(pooling(more), plain(pooling, more), rtol=1e-5, atol=1e-5)


def test_the_map_and_each_projection_are_fused():
    pooling = PyramidPooling(2048, PSPConfig())

    assert pooling.fuse[0].weight.shape == (512, 2048 + 4 * 512, 3, 3)


def test_the_deconvolution_has_a_4x4_kernel_of_each_label_for_each_label():
    upsample = branch(num_labels=5).upsample

    assert upsample.weight.shape == (5, 5, 4, 4)
    assert (upsample.stride, upsample.padding) == ((2, 2), (1, 1))


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (1, 1), (2, 2)])
def test_other_deconvolutions_start_as_a_plain_resize(kernel, stride):
    upsample = branch(upsample_kernel=kernel, upsample_stride=stride).upsample
    logits = torch.rand(1, upsample.in_channels, 3, 5)

    made = upsample(logits)

    torch.testing.assert_close(made, functional.interpolate(logits, scale_factor=stride))


@pytest.mark.parametrize(("kernel", "stride"), [(4, 1), (3, 2), (1, 2)])
def test_deconvolutions_that_shift_the_map_are_refused(kernel, stride):
    with pytest.raises(ValueError, match=rf"upsample_kernel is {kernel}; expected"):
        PSPConfig(upsample_kernel=kernel, upsample_stride=stride)


@pytest.mark.parametrize(("stride", "dilation"), [(8, 4), (16, 2)])
def test_the_own_last_stage_is_dilated_as_the_trunk_is(stride, dilation):
    config = PSPConfig(own_last_stage=True, last_stage_norm="frozen", channels=8)

    made = config.build(shape(4, stride), 3)

    assert made.last_stage[1].conv2.dilation == (dilation, dilation)
    assert made.last_stage.norm_kind == "frozen"


def test_hybrid_upsampling_starts_as_a_bilinear_resize():
    upsample = branch().upsample
    logits = torch.randn(1, 3, 6, 7)

    made = upsample(logits)

    expected = functional.interpolate(logits, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(made[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])


def test_initial_logits_are_undecided():
    made = branch()({8: torch.rand(1, 4, 8, 8)})

    torch.testing.assert_close(made.softmax(dim=1), torch.full_like(made, 1 / 3), atol=0.05, rtol=0)


@pytest.mark.parametrize("training", [True, False])
def test_group_norm_works_on_maps_pooled_to_a_single_cell(training):
    semantic = branch(norm="group").train(training)

    assert semantic({8: torch.rand(1, 4, 6, 6)}).shape == (1, 3, 12, 12)


def test_nothing_is_dropped_by_default():
    features = torch.rand(2, 4, 6, 6)

    assert branch(norm="none").dropout.p == 0
    torch.testing.assert_close(*(branch(norm="none")({8: features}) for _ in range(2)))


def test_dropout_drops_whole_channels_in_training():
    semantic = branch(dropout=0.5).train()

    dropped = semantic.dropout(torch.ones(1, 200, 2, 2))[0].sum(dim=(1, 2))

    assert set(dropped.tolist()) == {0, 8}


@pytest.mark.parametrize(("name", "value"), [("bins", (1, 0)), ("dropout", 1.0), ("dropout", -0.1)])
def test_invalid_bins_and_dropouts_are_refused(name, value):
    with pytest.raises(ValueError, match=rf"semantic\.{name} is "):
        PSPConfig(**{name: value})


def test_a_branch_may_begin_with_a_reduction():
    semantic = branch(channels=16, reduce=True)

    assert semantic.reduce[0].weight.shape == (4, 16, 3, 3)
    assert semantic({8: torch.rand(1, 16, 6, 6)}).shape == (1, 3, 12, 12)


def test_a_branch_may_begin_with_a_last_stage_of_its_own():
    with torch.device("meta"):
        semantic = branch(channels=1024, own_last_stage=True, reduce=True)

        made = semantic({8: torch.rand(1, 1024, 6, 6)})

    dilations = [
        layer.dilation[0]
        for layer in semantic.last_stage.modules()
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3)
    ]
    assert dilations == [2, 4, 4]
    assert semantic.reduce[0].weight.shape == (4, 2048, 3, 3)
    assert made.shape == (1, 3, 12, 12)
