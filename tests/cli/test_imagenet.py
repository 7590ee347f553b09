import pytest
import safetensors.torch

from jsisnet.cli.app import run
from jsisnet.cli.inputs import sample_photo
from jsisnet.model.trunk import Trunk, TrunkConfig

NAME = "tf_efficientnet_lite0"


def test_the_weights_recognise_an_espresso_and_start_a_trunk(tmp_path, capsys):
    out = tmp_path / "weights.safetensors"

    assert run(["imagenet", "--out", str(out), "--photo", str(sample_photo("rocket.jpg"))]) == 0

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    firsts = {line[0]: line[1:-1] for line in reversed(lines) if line and "." in line[0]}
    assert firsts["coffee.png"] == ["espresso"]
    assert firsts["chelsea.png"][-1] == "cat"
    assert "rocket.jpg" in firsts
    Trunk(TrunkConfig(name=NAME, neck="top_down")).load_imagenet(safetensors.torch.load_file(out))
    assert out.stat().st_mode & 0o044


@pytest.mark.parametrize("option", [("--name", "resnet50"), ("--photo", "missing.jpg")])
def test_missing_inputs_are_named_and_nothing_is_written(tmp_path, capsys, option):
    out = tmp_path / "weights.safetensors"

    assert run(["imagenet", "--out", str(out), *option]) == 1

    assert option[1] in capsys.readouterr().err
    assert not out.exists()
