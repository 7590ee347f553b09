from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import networks
from jsisnet.model.costs import stages
from jsisnet.training.config import read_config

CATEGORIES = networks.numbered(things=3, stuff=2)
SIZE = (64, 96)
PAPER = Path("coco.yaml")


def total(config, what):
    return sum(getattr(stage, what) for stage in stages(config, CATEGORIES, SIZE))


@pytest.mark.parametrize("config", [networks.TINY, networks.NARROW, networks.PYRAMID])
@pytest.mark.parametrize("branches", ["joint", "semantic", "instance"])
def test_the_stages_add_up_to_the_network(config, branches):
    config = replace(config, branches=branches)
    network = networks.network(config, CATEGORIES)

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(networks.photos(1, SIZE))

    assert total(config, "parameters") == sum(p.numel() for p in network.parameters())
    # Nothing is detected, so that masks are predicted of a single region.
    expected = sum(
        stage.multiply_adds if stage.branch == "masks" else stage.multiply_adds_of_image
        for stage in stages(config, CATEGORIES, SIZE)
    )
    assert expected == counter.get_total_flops() // 2


def test_shapes_leave_out_images_and_regions():
    found = {(stage.branch, stage.name): stage for stage in stages(networks.TINY, CATEGORIES, SIZE)}

    assert found["trunk", "shared map"].outputs == ((16, 8, 12),)
    assert found["semantic", "logits"].outputs == ((5, 16, 24),)
    assert found["roi", "classes, offsets"].outputs == ((4,), (3, 4))
    assert found["roi", "proposals read"].regions == 20
    assert found["masks", "masks"].outputs == ((3, 14, 14),)
    assert found["masks", "masks"].regions == 5
    assert found["trunk", "shared map"].regions is None


def test_the_cost_of_a_region_does_not_depend_on_their_number():
    more = replace(networks.TINY, proposals=replace(networks.TINY.proposals, max_proposals=40))

    for one, other in zip(
        stages(networks.TINY, CATEGORIES, SIZE), stages(more, CATEGORIES, SIZE), strict=True
    ):
        assert one.multiply_adds == other.multiply_adds


def test_the_paper_network_has_68_million_parameters():
    config = read_config(PAPER)
    found = stages(config.network, networks.numbered(things=80, stuff=53), config.augment.size)

    millions = dict.fromkeys(("trunk", "semantic", "rpn", "roi", "masks"), 0.0)
    for stage in found:
        millions[stage.branch] += stage.parameters / 1e6
    assert millions == pytest.approx(
        {"trunk": 32.9, "semantic": 13.2, "rpn": 2.4, "roi": 14.5, "masks": 5.3}, abs=0.1
    )


def test_an_unknown_timm_model_is_named():
    config = replace(networks.TINY, trunk=replace(networks.TINY.trunk, name="unicorn"))

    with pytest.raises(ValueError, match="unicorn"):
        stages(config, CATEGORIES, SIZE)
