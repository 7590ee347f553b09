import inspect

import pytest
from cyclopts import UnknownOptionError

from jsisnet.cli import reproduce
from jsisnet.cli.app import COMMANDS, app
from jsisnet.cli.overrides import SETTINGS, split_settings


@pytest.mark.parametrize(
    ("line", "rest", "overrides"),
    [
        ("score a.json b.json --json c", "score a.json b.json --json c", ""),
        ("train c.yaml --resume", "train c.yaml --resume", ""),
        ("train --optim.lr 0.1 c.yaml", "train c.yaml", "--optim.lr 0.1"),
        ("train c.yaml --optim.lr=0.1 --out r", "train c.yaml --out r", "--optim.lr=0.1"),
        ("train --root data c.yaml", "train c.yaml", "--root data"),
        ("train --augment.size 64 96 c.yaml", "train c.yaml", "--augment.size 64 96"),
        (
            "train --network.trunk.freeze-norm c.yaml --data.no-cache",
            "train c.yaml",
            "--network.trunk.freeze-norm --data.no-cache",
        ),
        (
            "train --more-data.extra.weight 2 c.yaml --more-data.my-own.cache --out d",
            "train c.yaml --out d",
            "--more-data.extra.weight 2 --more-data.my-own.cache",
        ),
        (
            "show-batch c.yaml --step 3 --train.seed 1",
            "show-batch c.yaml --step 3",
            "--train.seed 1",
        ),
        (
            "predict --merge.canvas original a.jpg --out d",
            "predict a.jpg --out d",
            "--merge.canvas original",
        ),
        ("predict a.jpg -- --merge.canvas", "predict a.jpg -- --merge.canvas", ""),
        ("train c.yaml --help --optim.lr", "train c.yaml --help --optim.lr", ""),
        ("train c.yaml --optim.lr", "train c.yaml", "--optim.lr"),
        ("train c.yaml --optim.lr --out r", "train c.yaml --out r", "--optim.lr"),
        (
            "train c.yaml --network.roi.hidden 64 --network.semantic.bins 1 --out r",
            "train c.yaml --out r",
            "--network.roi.hidden 64 --network.semantic.bins 1",
        ),
        (
            "train --network.anchors.sizes 12 24.5 48 c.yaml",
            "train c.yaml",
            "--network.anchors.sizes 12 --network.anchors.sizes 24.5 --network.anchors.sizes 48",
        ),
        (
            "train --network.anchors.sizes 12 --network.anchors.sizes 24 -o r",
            "train -o r",
            "--network.anchors.sizes 12 --network.anchors.sizes 24",
        ),
        ("train --optim.milestones=4 5", "train 5", "--optim.milestones=4"),
        (
            "train --objective.semantic-weights inverse-sqrt c.yaml",
            "train c.yaml",
            "--objective.semantic-weights inverse-sqrt",
        ),
        (
            "predict --merge.class-min-scores person 0.5 3",
            "predict 3",
            "--merge.class-min-scores person 0.5",
        ),
        ("", "", ""),
    ],
)
def test_settings_are_split_off_with_all_their_values(line, rest, overrides):
    assert split_settings(line.split()) == (rest.split(), tuple(overrides.split()))


def test_a_misspelt_setting_names_the_nearest():
    with pytest.raises(UnknownOptionError) as caught:
        split_settings(["train", "c.yaml", "--optim.momentun", "0.5"])

    assert str(caught.value) == "Unknown option: --optim.momentun. Did you mean --optim.momentum?"


def test_settings_of_a_training_are_not_settings_of_a_model():
    with pytest.raises(UnknownOptionError):
        split_settings(["predict", "a.jpg", "--optim.lr", "0.5"])


@pytest.mark.parametrize(
    "names",
    [
        *([command.name] for command in COMMANDS),
        *(["reproduce", command.name] for command in reproduce.COMMANDS),
    ],
    ids=" ".join,
)
def test_commands_that_take_settings_have_them_among_their_options(names):
    called = app
    for name in names:
        called = called[name]
    takes = "overrides" in inspect.signature(called.default_command).parameters

    assert takes == (" ".join(names) in SETTINGS)
