import pytest
import torch
from torch import nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

import networks
from jsisnet.model.pyramid import Pyramid
from jsisnet.model.trunk import Trunk, TrunkConfig

WIDTHS = (4, 6, 8, 10)


def stages(size: tuple[int, int]) -> list[torch.Tensor]:
    torch.manual_seed(0)
    cells = [[-(-side // stride) for side in size] for stride in (4, 8, 16, 32)]
    return [torch.randn(2, width, *grid) for width, grid in zip(WIDTHS, cells, strict=True)]


@pytest.mark.parametrize("size", [(64, 96), (65, 131)])
@pytest.mark.parametrize(("norm", "layer"), [("none", None), ("batch", nn.BatchNorm2d)])
def test_the_maps_are_those_of_torchvision(size, norm, layer):
    neck = Pyramid(WIDTHS, 5, norm).eval()
    peer = FeaturePyramidNetwork(list(WIDTHS), 5, LastLevelMaxPool(), norm_layer=layer).eval()
    for theirs, ours in ((peer.inner_blocks, neck.laterals), (peer.layer_blocks, neck.outputs)):
        for one, other in zip(theirs, ours, strict=True):
            one.load_state_dict(other.state_dict())
    maps = stages(size)

    made = neck(maps)

    expected = peer({str(number): each for number, each in enumerate(maps)})
    assert all(torch.equal(*pair) for pair in zip(made, expected.values(), strict=True))


def test_a_trunk_with_a_pyramid_has_a_map_for_each_stride():
    trunk = Trunk(TrunkConfig(name="test_resnet", neck="pyramid", channels=8)).eval()

    maps = trunk(networks.photos(1, (65, 97)))

    assert {stride: tuple(made.shape[1:]) for stride, made in maps.items()} == {
        stride: (8, -(-65 // stride), -(-97 // stride)) for stride in (4, 8, 16, 32, 64)
    }
    assert trunk.shape.strides == tuple(maps)
    assert trunk.shape.stride == 8
