import pytest
import torch
from torch import nn
from torch.nn import functional

from jsisnet.model.methods import TrunkShape
from jsisnet.model.semantic_fpn import SemanticFPN, SemanticFPNConfig

STRIDES = (4, 8, 16, 32, 64)
TRUNK = TrunkShape(channels=6, strides=STRIDES, stride=8)


def branch(**changes) -> SemanticFPN:
    torch.manual_seed(0)
    return SemanticFPNConfig(channels=8, **changes).build(TRUNK, 3).eval()


def maps_of(size: tuple[int, int]) -> dict[int, torch.Tensor]:
    torch.manual_seed(1)
    return {of: torch.randn(2, 6, *(-(-side // of) for side in size)) for of in STRIDES}


def plain(made: SemanticFPN, maps: dict[int, torch.Tensor]) -> torch.Tensor:
    """Compute the logits as the paper does, which upsamples each map to the end, then adds."""
    total = torch.zeros(())
    for stride, layers in zip(made.strides, made.levels, strict=True):
        features = maps[stride]
        for layer in layers:
            features = layer(features)
            if stride > made.stride:
                features = functional.interpolate(features, scale_factor=2, mode="bilinear")
        total = total + features
    return made.classify(total)


@pytest.mark.parametrize("stride", [4, 8])
def test_the_logits_are_those_of_panoptic_fpn(stride):
    made, maps = branch(stride=stride), maps_of((64, 96))

    logits = made(maps)

    assert logits.shape == (2, 3, 64 // stride, 96 // stride)
    torch.testing.assert_close(logits, plain(made, maps), rtol=1e-5, atol=1e-5)


def test_sizes_that_no_stride_divides_are_segmented():
    assert branch()(maps_of((65, 131))).shape == (2, 3, 17, 33)


def test_there_is_a_convolution_for_each_doubling():
    counts = [len(layers) for layers in branch().levels]

    assert counts == [1, 1, 2, 3]
    assert isinstance(branch(norm="batch").levels[0][0][1], nn.BatchNorm2d)


def test_a_trunk_with_one_map_is_refused():
    single = TrunkShape(channels=6, strides=(8,), stride=8)

    with pytest.raises(ValueError, match=r"--network\.semantic\.method fpn .*neck pyramid$"):
        SemanticFPNConfig().build(single, 3)


@pytest.mark.parametrize(("name", "value"), [("channels", 0), ("dropout", 1.0)])
def test_invalid_settings_are_refused(name, value):
    with pytest.raises(ValueError, match=rf"semantic\.{name} is "):
        SemanticFPNConfig(**{name: value})
