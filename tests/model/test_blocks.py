import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.models import resnet50
from torchvision.ops import FrozenBatchNorm2d

from jsisnet.model.blocks import (
    ConvNormAct,
    InPlaceReLU6,
    LastStage,
    init_kaiming,
    init_small,
    norm,
)


@pytest.fixture(scope="module")
def dilated_resnet50():
    torch.manual_seed(0)
    return resnet50(replace_stride_with_dilation=[False, True, True]).eval()


@pytest.mark.parametrize(
    ("channels", "groups"), [(64, 32), (128, 32), (48, 24), (16, 8), (7, 1), (74, 2), (1, 1)]
)
def test_group_norm_uses_as_many_groups_as_fit_up_to_32(channels, groups):
    assert norm("group", channels).num_groups == groups


def test_batch_norm_may_keep_its_affine_parameters_alone():
    layer = norm("batch_fixed_affine", 4).train()

    made = layer(5 + torch.rand(2, 4, 3, 3))

    assert not any(parameter.requires_grad for parameter in layer.parameters())
    assert layer.state_dict().keys() == norm("batch", 4).state_dict().keys()
    assert made.mean().abs() < 1e-5
    assert layer.running_mean.abs().min() > 0


@pytest.mark.parametrize(
    ("kind", "layer"),
    [
        ("batch", nn.BatchNorm2d),
        ("batch_fixed_affine", nn.BatchNorm2d),
        ("frozen", FrozenBatchNorm2d),
        ("group", nn.GroupNorm),
    ],
)
def test_the_last_stage_has_the_normalisation_that_is_asked_for(kind, layer):
    stage = LastStage(8, width=4, norm_kind=kind)

    norms = [
        stage[0].downsample[1],
        *(getattr(unit, f"bn{n}") for unit in stage for n in (1, 2, 3)),
    ]
    assert all(isinstance(one, layer) for one in norms)
    trained = sum(p.numel() for one in norms for p in one.parameters() if p.requires_grad)
    assert (trained > 0) == (kind in ("batch", "group"))


def test_frozen_statistics_of_a_convolution_that_does_not_fit_are_not_loaded():
    weights = {name: value + 1 for name, value in resnet50().state_dict().items()}
    stage = LastStage(8, width=512, norm_kind="frozen")

    stage.load_imagenet(weights)

    assert stage[0].bn1.running_mean.abs().max() == 0
    assert stage[0].downsample[1].running_mean.abs().max() == 0
    assert torch.equal(stage[0].bn2.running_mean, weights["layer4.0.bn2.running_mean"])


def test_frozen_norm_has_no_parameters_and_keeps_its_statistics():
    layer = norm("frozen", 4).train()
    before = {name: value.clone() for name, value in layer.state_dict().items()}

    layer(torch.rand(2, 4, 3, 3))

    assert list(layer.parameters()) == []
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())


def test_batch_norm_has_a_momentum_of_a_tenth():
    layer = norm("batch", 4)

    assert (layer.momentum, layer.eps, layer.affine) == (0.1, 1e-5, True)


def test_without_a_norm_the_convolution_has_a_bias():
    plain = ConvNormAct(3, 4, kernel=3, norm_kind="none")
    normalised = ConvNormAct(3, 4, kernel=3, norm_kind="batch")

    assert plain[0].bias is not None
    assert normalised[0].bias is None


def test_a_block_keeps_the_size_and_ends_in_a_relu():
    made = ConvNormAct(3, 4, kernel=3, norm_kind="batch")(torch.randn(2, 3, 5, 7))

    assert made.shape == (2, 4, 5, 7)
    assert made.min() == 0


def test_kaiming_initialisation_keeps_the_second_moment_after_a_relu():
    torch.manual_seed(0)
    layer = nn.Linear(1000, 1000)
    init_kaiming(layer)

    inputs = torch.randn(50, 1000).relu()

    outputs = layer(inputs).detach().relu()
    assert outputs.square().mean().item() == pytest.approx(inputs.square().mean().item(), rel=0.1)
    assert layer.bias.abs().max() == 0


def test_small_weights_have_a_standard_deviation_of_a_hundredth():
    torch.manual_seed(0)
    layer = nn.Linear(300, 300)
    init_small(layer)

    assert layer.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert layer.bias.abs().max() == 0


def test_the_last_stage_takes_all_weights_of_resnet50_at_1024_channels(dilated_resnet50):
    stage = LastStage(1024)

    keys = stage.load_state_dict(dilated_resnet50.layer4.state_dict())

    assert keys.missing_keys == keys.unexpected_keys == []
    assert stage.out_channels == 2048


def test_the_dilated_last_stage_is_that_of_resnet50_at_stride_8(dilated_resnet50):
    stage = LastStage(1024, dilation=4).eval()
    stage.load_state_dict(dilated_resnet50.layer4.state_dict())
    features = torch.rand(1, 1024, 4, 4)

    with torch.no_grad():
        torch.testing.assert_close(stage(features), dilated_resnet50.layer4(features))


def test_the_undilated_last_stage_keeps_the_size_of_a_region():
    stage = LastStage(8, width=4)

    assert stage(torch.rand(2, 8, 7, 7)).shape == (2, 16, 7, 7)
    assert {layer.dilation for layer in stage.modules() if isinstance(layer, nn.Conv2d)} == {(1, 1)}


def test_relu6_in_place_has_the_gradient_of_torch():
    values = torch.tensor([-1.0, -0.0, 0.0, 1e-30, 3.0, 5.9999995, 6.0, 7.0, torch.nan])
    ours, theirs = values.clone().requires_grad_(), values.clone().requires_grad_()
    before = ours * 1

    made, expected = InPlaceReLU6()(before), functional.relu6(theirs * 1)
    for each in (made, expected):
        (each * torch.arange(1.0, 10.0)).sum().backward()

    assert made.data_ptr() == before.data_ptr()
    torch.testing.assert_close(made, expected, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=0)
