import json
from pathlib import Path

import pytest
import yaml

import training_runs
from jsisnet.cli.app import run
from jsisnet.experiments.training_ablation import Variant, over_seeds, read_variants
from jsisnet.experiments.trainings import Spread

VARIANTS = {
    "plain": None,
    "slow": {"optim": {"lr": 0.001}},
    "slow and flipped": {"on": "slow", "augment": {"hflip": 1.0}},
    "flipped": {"augment": {"hflip": 1.0}},
}


@pytest.fixture
def path(tiny, tmp_path):
    """A YAML file with variants of a training of two steps."""
    path = training_runs.write_config(tmp_path / "street.yaml", tiny, steps=2)
    values = yaml.safe_load(path.read_text()) | {"variants": VARIANTS}
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


def test_a_variant_changes_the_one_that_it_names_or_else_the_first(path):
    plain, slow, both, flipped = read_variants(path)

    assert [each.on for each in (plain, slow, both, flipped)] == [None, "plain", "slow", "plain"]
    assert (both.config.optim.lr, both.config.augment.hflip) == (0.001, 1.0)
    assert flipped.config.optim.lr == plain.config.optim.lr != 0.001


@pytest.mark.parametrize("name", ["ablation_camvid.yaml", "ablation_coco_mini.yaml"])
def test_no_frame_of_the_built_in_variants_trains_and_measures(name):
    variants = read_variants(Path(name))

    assert variants[0].on is None
    for data, validation in ((each.config.data, each.config.validation) for each in variants):
        assert data.images != validation.images or data.without == validation.only is not None


def test_the_word_on_needs_no_quotes(path):
    path.write_text(path.read_text().replace("'on': ", "on: "))
    assert "  on: slow" in path.read_text()

    assert [each.on for each in read_variants(path)] == [None, "plain", "slow", "plain"]


def test_options_hold_for_all_variants(path):
    assert {each.config.train.steps for each in read_variants(path, ("--train.steps", "3"))} == {3}


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        (None, "variants is missing"),
        ({}, "variants is missing"),
        ({"a": 3}, r"variants\.a: expected settings to change, found 3"),
        ({"a": {}, "b": {"on": "c"}}, r"variants\.b: on is 'c', but no variant before it"),
        (
            {"a": {}, "b": {"on": ["a"]}},
            r"variants\.b: on is \"\['a'\]\", but no variant before it",
        ),
        ({"a": {}, "b": {"on": None}}, r"variants\.b: on is 'None', but no variant before it"),
        ({"a": {"optim": {"lrr": 1}}}, r"variants\.a: unknown setting optim.lrr"),
        ({"a b": {}, "a-b": {}}, r"variants\.a-b: another variant's run folder"),
        ({"a": {"validation": None}}, r"variants\.a: validation is missing"),
    ],
)
def test_what_is_no_set_of_variants_is_named(path, variants, message):
    values = yaml.safe_load(path.read_text()) | {"variants": variants}
    path.write_text(yaml.safe_dump(values))

    with pytest.raises(ValueError, match=message):
        read_variants(path)


def test_gains_are_those_over_the_changed_variant_with_the_same_seed(path):
    config = read_variants(path)[0].config
    variants = [Variant(name="a", config=config), Variant(name="b", config=config, on="a")]

    def figures(pq):
        return dict.fromkeys(("pq_things", "pq_stuff", "miou", "mask_ap50", "recall")) | {"pq": pq}

    table = over_seeds(
        variants, {"a": {0: figures(10.0), 1: figures(20.0)}, "b": {1: figures(23.0)}}
    )

    assert table["a"]["pq"].mean == 15.0
    assert table["a"]["gain"] is None
    assert table["b"]["gain"] == Spread(mean=3.0, deviation=0.0)
    assert table["b"]["miou"] is None


def test_the_command_trains_each_variant_once(path, tmp_path, capsys):
    values = yaml.safe_load(path.read_text()) | {
        "variants": {"plain": None, "slow": VARIANTS["slow"]}
    }
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    command = ["reproduce", "training-ablation", str(path), "--seeds", "1", "--out"]
    command += [str(tmp_path / "runs"), "--json", str(tmp_path / "table.json")]

    assert run(command) == 0
    first = json.loads((tmp_path / "table.json").read_text())
    times = {file: file.stat().st_mtime_ns for file in Path(tmp_path, "runs").rglob("*")}
    assert run(command) == 0

    assert first["all"]["plain"]["gain"] is None
    pq = {name: seeds["0"]["pq"] for name, seeds in first["variants"].items()}
    assert first["all"]["slow"]["gain"]["mean"] == pytest.approx(pq["slow"] - pq["plain"])
    assert json.loads((tmp_path / "table.json").read_text()) == first
    models = [file for file in times if file.name in ("model.safetensors", "seed_0_slow.json")]
    assert len(models) == 3
    assert {file.stat().st_mtime_ns for file in models} == {times[file] for file in models}
    assert "gain" in capsys.readouterr().out
