from dataclasses import replace

import torch

from jsisnet.model.detection import DetectionConfig
from jsisnet.model.rpn import ProposalConfig
from jsisnet.model.separate import SeparateNetworks
from networks import TINY, network, photos

RULES = DetectionConfig(min_score=0.0, max_detections=5)


def test_each_network_gives_its_part():
    semantic = network(replace(TINY, branches="semantic"), seed=1)
    instance = network(replace(TINY, branches="instance", detection=RULES), seed=2)

    with torch.no_grad():
        outputs = SeparateNetworks(semantic, instance)(photos(2))
        logits, found = semantic(photos(2)).semantic, instance(photos(2)).detections

    assert torch.equal(outputs.semantic, logits)
    assert torch.equal(outputs.detections.masks, found.masks)
    assert outputs.detections.valid.any()
    assert outputs.extra is None
    assert outputs.extra_proposals is None


def test_other_rules_go_to_the_network_of_the_instances():
    instance = network(replace(TINY, branches="instance"))

    with torch.no_grad():
        outputs = SeparateNetworks(network(), instance)(photos(1), RULES, ProposalConfig())
        expected = instance(photos(1), RULES, ProposalConfig())

    assert outputs.extra.valid.any()
    assert torch.equal(outputs.extra.boxes, expected.extra.boxes)
    assert torch.equal(outputs.proposals.boxes, expected.proposals.boxes)
    assert torch.equal(outputs.extra_proposals.boxes, expected.extra_proposals.boxes)
