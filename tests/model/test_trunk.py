import pytest
import timm
import torch
from torch import nn
from torchvision.models import resnet50

from jsisnet.model.trunk import TopDown, Trunk, TrunkConfig


def small(**changes) -> Trunk:
    return Trunk(TrunkConfig(name="test_resnet", channels=16, **changes)).eval()


@pytest.fixture(scope="module")
def torchvision_weights():
    torch.manual_seed(0)
    return resnet50().state_dict()


@pytest.fixture(scope="module")
def paper_trunk(torchvision_weights):
    trunk = Trunk(TrunkConfig()).eval()
    trunk.load_imagenet(torchvision_weights)
    return trunk


@pytest.mark.parametrize("neck", ["reduce", "none", "top_down"])
@pytest.mark.parametrize(
    ("size", "cells"), [((64, 96), (8, 12)), ((65, 97), (9, 13)), ((71, 8), (9, 1))]
)
def test_the_shared_map_has_a_cell_per_8_pixels_rounded_up(neck, size, cells):
    trunk = small(neck=neck)

    made = trunk(torch.rand(1, 3, *size))

    assert {stride: each.shape for stride, each in made.items()} == {8: (1, trunk.channels, *cells)}


def test_without_a_neck_the_last_stage_but_one_decides_the_channels():
    trunk = small(neck="none")

    assert trunk.channels == 192
    assert not any(name.startswith("stages.layer4") for name, _ in trunk.named_parameters())


def test_a_torchvision_resnet50_loads_with_no_weight_missing(paper_trunk, torchvision_weights):
    loaded = paper_trunk.stages.state_dict()

    assert set(torchvision_weights) - set(loaded) == {"fc.weight", "fc.bias"}
    assert all(torch.equal(value, torchvision_weights[name]) for name, value in loaded.items())


def test_a_timm_resnet50_loads_with_no_weight_missing():
    with torch.device("meta"):
        weights = timm.create_model("resnet50").state_dict()
        trunk = Trunk(TrunkConfig())

    trunk.load_imagenet(weights)

    assert set(weights) - set(trunk.stages.state_dict()) == {"fc.weight", "fc.bias"}


def test_the_paper_trunk_is_resnet50_with_its_last_two_stages_dilated(
    paper_trunk, torchvision_weights
):
    theirs = resnet50(replace_stride_with_dilation=[False, True, True]).eval()
    theirs.load_state_dict(torchvision_weights)
    image = torch.rand(1, 3, 32, 40)

    with torch.no_grad():
        maps = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(image))))
        expected = theirs.layer4(theirs.layer3(theirs.layer2(theirs.layer1(maps))))
        (made,) = paper_trunk.stages(image)

    torch.testing.assert_close(made, expected, rtol=1e-3, atol=1e-3)


def test_a_missing_weight_is_named(paper_trunk, torchvision_weights):
    weights = {k: v for k, v in torchvision_weights.items() if k != "layer1.0.conv1.weight"}

    with pytest.raises(ValueError, match=r"layer1\.0\.conv1\.weight should be .*, found nothing"):
        paper_trunk.load_imagenet(weights)


def test_a_weight_of_another_shape_is_named(paper_trunk, torchvision_weights):
    weights = torchvision_weights | {"bn1.bias": torch.zeros(3)}

    with pytest.raises(ValueError, match=r"bn1\.bias should be \(64,\), found \(3,\)"):
        paper_trunk.load_imagenet(weights)


def test_images_are_normalised_like_the_classifiers_input():
    lite = Trunk(TrunkConfig(name="tf_efficientnet_lite0", neck="top_down", channels=8))

    assert lite.mean.flatten().tolist() == lite.std.flatten().tolist() == [0.5, 0.5, 0.5]
    assert Trunk(TrunkConfig(name="resnet10t")).mean.flatten().tolist() == pytest.approx(
        [0.485, 0.456, 0.406]
    )


def test_an_image_of_the_mean_colour_is_all_zeros_for_the_stages():
    trunk = small(neck="none")
    seen = []
    trunk.stages.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))

    trunk(trunk.mean.expand(1, 3, 16, 16))

    assert seen[0].abs().max() == 0


def test_top_down_adds_coarse_stages_to_finer_ones():
    neck = TopDown([1, 1, 1], 1, "none")
    for layer in (*neck.laterals, neck.smooth[0]):
        nn.init.zeros_(layer.bias)
        nn.init.zeros_(layer.weight)
        layer.weight.data[:, :, -1 // 2, -1 // 2] = 1
    neck.smooth = nn.Identity()

    made = neck(
        [
            torch.tensor([[[[1.0, 2.0, 3.0, 4.0]]]]),
            torch.tensor([[[[10.0, 20.0]]]]),
            torch.tensor([[[[100.0]]]]),
        ]
    )

    assert made.tolist() == [[[[111, 112, 123, 124]]]]


def test_frozen_stages_are_not_trained_and_the_others_are():
    trunk = small(neck="top_down", frozen_stages=3)

    trained = {name.split(".")[0] for name, p in trunk.stages.named_parameters() if p.requires_grad}

    assert trained == {"layer3", "layer4"}


def test_frozen_normalisation_keeps_statistics_and_has_no_parameters():
    trunk = small(neck="top_down", freeze_norm=True).train()
    before = {name: value.clone() for name, value in trunk.stages.state_dict().items()}

    trunk(torch.rand(2, 3, 64, 64))

    after = trunk.stages.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not any("bn" in name for name, _ in trunk.stages.named_parameters())


def test_frozen_normalisation_takes_statistics_from_the_weights():
    trunk = small(neck="top_down", freeze_norm=True)
    weights = timm.create_model("test_resnet").state_dict()
    weights["bn1.running_mean"] += 3

    trunk.load_imagenet(weights)

    assert torch.equal(trunk.stages.bn1.running_mean, weights["bn1.running_mean"])


def test_a_misspelt_model_gets_the_nearest_name():
    with pytest.raises(
        ValueError, match=r"'resnet5', which timm does not have.*did you mean resnet5"
    ):
        Trunk(TrunkConfig(name="resnet5"))


def test_a_name_with_a_hub_prefix_is_refused():
    with pytest.raises(ValueError, match="which timm does not have"):
        Trunk(TrunkConfig(name="hf-hub:somebody/something"))


@pytest.mark.parametrize(
    ("name", "neck", "reason"),
    [
        ("test_vit", "top_down", "it takes images of 160x160 pixels alone"),
        ("vgg11", "reduce", "its stages can't be dilated to stride 8, as .* reduce needs"),
        ("mambaout_femto", "none", "its stages can't be dilated to stride 8, as .* none needs"),
        ("resnet50.nonsense", "top_down", "Invalid pretrained tag"),
    ],
)
def test_a_model_that_cannot_be_the_trunk_says_why(name, neck, reason):
    with pytest.raises(ValueError, match=rf"^{name} can't be the trunk of this network \({reason}"):
        Trunk(TrunkConfig(name=name, neck=neck))


FAMILIES = ["test_convnext", "test_mambaout", "regnetx_002", "mobilenetv3_small_050"]


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("size", [(64, 96), (65, 97)])
def test_stages_are_chosen_by_stride(name, size):
    trunk = Trunk(TrunkConfig(name=name, neck="top_down", channels=8)).eval()

    maps = trunk.stage_maps(torch.rand(1, 3, *size))

    assert [tuple(made.shape[-2:]) for made in maps] == [
        (-(-size[0] // stride), -(-size[1] // stride)) for stride in (8, 16, 32)
    ]
    assert trunk(torch.rand(1, 3, *size))[8].shape[1:] == (8, *maps[0].shape[-2:])


@pytest.mark.parametrize("name", ["test_convnext", "mobilenetv3_small_050"])
def test_other_families_dilate_their_stages_too(name):
    trunk = Trunk(TrunkConfig(name=name, channels=8)).eval()

    assert trunk(torch.rand(1, 3, 65, 97))[8].shape == (1, 8, 9, 13)


def test_a_trunk_that_drops_incomplete_cells_sees_the_same_in_a_larger_image():
    trunk = Trunk(TrunkConfig(name="test_convnext", neck="top_down", channels=8)).eval()
    image = trunk.mean.expand(1, 3, 96, 128).clone()
    image[..., :65, :97] = torch.rand(1, 3, 65, 97)

    small, large = trunk.stage_maps(image[..., :65, :97])[0], trunk.stage_maps(image)[0]

    torch.testing.assert_close(small, large[..., :9, :13])


def test_weights_are_found_where_timm_renames_the_modules_of_its_stages():
    torch.manual_seed(5)
    model = timm.create_model("test_convnext")
    trunk = Trunk(TrunkConfig(name="test_convnext", neck="top_down", channels=8))

    trunk.load_imagenet(model.state_dict())

    own = trunk.stages.state_dict()
    assert "stages_0.blocks.0.conv_dw.weight" in own
    assert torch.equal(
        own["stages_0.blocks.0.conv_dw.weight"], model.stages[0].blocks[0].conv_dw.weight
    )


@pytest.mark.parametrize("neck", ["reduce", "none", "top_down"])
def test_the_shared_map_may_have_stride_16(neck):
    trunk = small(neck=neck, stride=16)

    assert trunk(torch.rand(1, 3, 65, 97))[16].shape == (1, trunk.channels, 5, 7)


def seen_by(trunk: Trunk, image: torch.Tensor) -> torch.Tensor:
    """Return what the stages of a trunk get for an image."""
    seen = []
    trunk.stages.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    trunk(image)
    return seen[0]


def test_colours_may_range_from_minus_1_to_1():
    trunk = small(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    image = torch.rand(1, 3, 16, 16)

    torch.testing.assert_close(seen_by(trunk, image), 2 * image - 1)


def test_colours_may_be_those_of_caffe():
    caffe = {"mean": (0.485, 0.456, 0.406), "std": (1 / 255, 1 / 255, 1 / 255)}
    image = torch.rand(1, 3, 16, 16)

    seen = seen_by(small(**caffe, channel_order="bgr"), image)

    blue = 255 * image[0, 2] - 255 * 0.406
    torch.testing.assert_close(seen[0, 0], blue, rtol=1e-4, atol=1e-3)


def test_deviations_of_0_are_refused():
    with pytest.raises(ValueError, match=r"trunk\.std is .*; expected positive numbers"):
        TrunkConfig(std=(1.0, 0.0, 1.0))


def test_frozen_stages_keep_their_statistics_and_the_others_do_not():
    trunk = small(neck="top_down", frozen_stages=3).train()
    before = {name: value.clone() for name, value in trunk.stages.state_dict().items()}

    trunk(torch.rand(2, 3, 64, 64))

    after = trunk.stages.state_dict()
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert {name.split(".")[0] for name in moved} == {"layer3", "layer4"}


def test_frozen_stages_are_told_apart_where_timm_renames_them():
    trunk = Trunk(TrunkConfig(name="test_convnext", neck="top_down", channels=8, frozen_stages=2))

    trained = {name.split(".")[0] for name, p in trunk.stages.named_parameters() if p.requires_grad}

    assert trained == {"stages_2", "stages_3"}


def test_the_affine_parameters_of_the_stages_may_be_frozen_alone():
    trunk = small(freeze_affine=True).train()
    before = trunk.stages.bn1.running_mean.clone()

    (trunk(torch.rand(2, 3, 64, 64))[8] ** 2).sum().backward()

    norms = [m for m in trunk.stages.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert all(m.weight.grad is None and m.bias.grad is None for m in norms)
    assert trunk.stages.conv1[0].weight.grad is not None
    assert not torch.equal(trunk.stages.bn1.running_mean, before)


@pytest.mark.parametrize(("neck", "count"), [("reduce", 6), ("none", 5), ("top_down", -1)])
def test_more_frozen_stages_than_there_are_is_refused(neck, count):
    with pytest.raises(ValueError, match=rf"frozen_stages is {count}; expected 0 to"):
        small(neck=neck, frozen_stages=count)


def test_all_stages_may_be_frozen():
    trunk = small(neck="none", frozen_stages=4)

    assert not any(parameter.requires_grad for parameter in trunk.stages.parameters())


def test_the_order_in_memory_in_training_does_not_change_maps_and_gradients():
    torch.manual_seed(0)
    config = TrunkConfig(name="tf_efficientnet_lite0", neck="top_down", channels=8)
    trunk = Trunk(config).double().train()
    plain = timm.create_model(config.name, features_only=True, out_indices=(2, 3, 4)).double()
    plain.load_state_dict(trunk.stages.state_dict())
    images = torch.rand(2, 3, 65, 64, dtype=torch.float64)

    made = trunk.stage_maps(images)
    expected = plain.train()((images - trunk.mean) / trunk.std)
    for maps in (made, expected):
        sum(each.square().mean() for each in maps).backward()

    assert made[0].is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(made, expected)
    gradients = {name: each.grad for name, each in plain.named_parameters()}
    for name, parameter in trunk.stages.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name])
        assert parameter.grad.stride() == parameter.stride()
