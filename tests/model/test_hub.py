"""The network with the methods of the Hugging Face hub."""

import json

import torch

from jsisnet.model import saved_model
from jsisnet.model.hub import HubNetwork


def test_network_and_its_settings_survive_a_folder(tmp_path):
    saved = saved_model.read("street")
    network = HubNetwork.of(saved)

    network.save_pretrained(tmp_path / "hub")
    again = HubNetwork.from_pretrained(tmp_path / "hub").eval()

    assert again.config == network.config
    images = torch.rand(1, 3, 352, 480)
    with torch.no_grad():
        expected, found = network(images), again(images)
    assert torch.equal(expected.semantic, found.semantic)
    assert torch.equal(expected.detections.boxes, found.detections.boxes)
    config = json.loads((tmp_path / "hub" / "config.json").read_text())
    assert config["categories"][0]["name"] == "sky"
    assert config["network"]["rpn_channels"] == saved.config.network.rpn_channels
