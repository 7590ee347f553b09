from dataclasses import replace

import pytest
import torch
from torch import nn

from jsisnet.model.folding import NORMS, folded
from jsisnet.model.network import JSISNet
from jsisnet.model.trunk import TrunkConfig
from networks import NARROW, PYRAMID, TINY, network, photos


def experienced(made: JSISNet) -> JSISNet:
    """Give the norms statistics and parameters as after a training, and the network detections."""
    draw = torch.Generator().manual_seed(0)
    for module in made.modules():
        if isinstance(module, NORMS):
            for tensor in (module.weight, module.running_var):
                tensor.data.uniform_(0.5, 1.5, generator=draw)
            for tensor in (module.bias, module.running_mean):
                tensor.data.uniform_(-0.5, 0.5, generator=draw)
    if made.instance is not None:
        made.instance.roi.classify.bias.data[0] = 10
    return made


def norms(made: nn.Module) -> int:
    return sum(isinstance(module, NORMS) for module in made.modules())


FROZEN = replace(TINY, trunk=replace(TINY.trunk, freeze_norm=True, norm="frozen"))
LITE = replace(TINY, trunk=replace(TINY.trunk, name="tf_efficientnet_lite0", freeze_norm=True))


@pytest.mark.parametrize(
    "config",
    [TINY, NARROW, FROZEN, LITE, PYRAMID],
    ids=["lite", "paper", "frozen", "efficientnet", "pyramid"],
)
def test_a_folded_network_predicts_the_same_without_batch_norm(config):
    made = experienced(network(config))
    images = photos(2)

    ready = folded(made)

    assert norms(ready) == 0
    assert norms(made) > 0
    with torch.no_grad():
        outputs, expected = ready(images), made(images)
    torch.testing.assert_close(outputs.semantic, expected.semantic, rtol=1e-5, atol=1e-5)
    assert torch.equal(outputs.detections.valid, expected.detections.valid)
    assert outputs.detections.valid.any()
    torch.testing.assert_close(
        outputs.detections.boxes, expected.detections.boxes, rtol=1e-5, atol=1e-3
    )
    torch.testing.assert_close(
        outputs.detections.masks, expected.detections.masks, rtol=1e-5, atol=1e-4
    )


def test_folding_leaves_the_network_as_it_was():
    made = network(TINY)
    before = {name: value.clone() for name, value in made.state_dict().items()}

    folded(made)

    after = made.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(parameter.requires_grad for parameter in made.parameters())


@pytest.mark.parametrize("branches", ["semantic", "instance"])
def test_networks_of_one_branch_are_folded(branches):
    assert norms(folded(network(replace(TINY, branches=branches)))) == 0


def test_a_backbone_that_normalises_before_it_convolves_stays_right():
    # Names in the order norm1, conv1, norm2, conv2: what is next to each other need not be in turn.
    config = replace(NARROW, trunk=TrunkConfig(name="resnetv2_50", channels=16))
    made = experienced(network(replace(config, branches="semantic")))

    with torch.no_grad():
        outputs, expected = folded(made)(photos(1)).semantic, made(photos(1)).semantic

    torch.testing.assert_close(outputs, expected, rtol=1e-4, atol=1e-5)


def test_images_of_a_batch_without_detections_have_no_masks():
    made = network()

    with torch.no_grad():
        detections = made(photos(2)).detections

    assert not detections.valid.any()
    assert detections.masks.abs().max() == 0
