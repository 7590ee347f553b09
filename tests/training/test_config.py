import math
from dataclasses import replace
from pathlib import Path

import pytest

from jsisnet.data.transforms import TransformConfig
from jsisnet.formats.dataset import DataConfig
from jsisnet.model.network import NetworkConfig
from jsisnet.model.trunk import TrunkConfig
from jsisnet.settings import from_dict
from jsisnet.training.config import RunConfig, TrainConfig, read_config, to_yaml
from jsisnet.training.optim import OptimConfig

DATA = {"images": "photos", "annotations": "truth.json"}
PHOTOS = DataConfig(images="photos", annotations="truth.json")


def made(values: dict | None = None, *options: str) -> RunConfig:
    return from_dict(RunConfig, {"data": DATA} | (values or {}), options, source="run.yaml")


@pytest.fixture
def written(tmp_path):
    def write(text: str, name: str = "run.yaml"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def test_the_defaults_are_those_of_the_paper():
    assert made() == RunConfig(data=PHOTOS)


def test_photos_have_the_size_of_training_in_prediction_unless_another_is_given():
    augment = {"augment": {"size": [64, 96]}}

    assert made(augment).prediction_size == (64, 96)
    assert made(augment, "--size", "128", "192").prediction_size == (128, 192)


def test_a_size_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"size is \(0, 64\); expected a positive height"):
        made({"size": [0, 64]})


def test_a_configuration_survives_being_written_and_read(written):
    config = RunConfig(
        data=replace(PHOTOS, first=3, merge="supercategory"),
        validation=PHOTOS,
        size=(96, 144),
        augment=TransformConfig(size=(64, 96), hue=0.05),
        network=NetworkConfig(trunk=TrunkConfig(weights="imagenet")),
        optim=OptimConfig(lr=1e-9, milestones=(), average=0.998),
        train=TrainConfig(steps=7, precision="bf16-mixed"),
    )

    assert read_config(written(to_yaml(config))) == config


def test_all_defaults_survive_being_written_and_read(written):
    config = RunConfig(data=PHOTOS)

    assert read_config(written(to_yaml(config))) == config


def test_a_file_begins_with_the_values_of_its_base(written):
    written("optim: {lr: 0.5, warmup: 3}\ndata: {images: a, annotations: b}", "base.yaml")

    config = read_config(written("base: base.yaml\noptim: {lr: 0.25}\ndata: {images: c}"))

    assert (config.optim.lr, config.optim.warmup) == (0.25, 3)
    assert (config.data.images, config.data.annotations) == ("c", "b")


def test_a_base_may_have_a_base_in_its_own_folder(written, tmp_path):
    (tmp_path / "deep").mkdir()
    written("optim: {lr: 0.5, warmup: 3}", "deep/first.yaml")
    written("base: first.yaml\noptim: {lr: 0.25}", "deep/second.yaml")

    config = read_config(
        written(f"base: deep/second.yaml\ndata: {DATA}\noptim: {{momentum: 0.5}}"),
    )

    assert (config.optim.lr, config.optim.warmup, config.optim.momentum) == (0.25, 3, 0.5)


def test_a_list_replaces_that_of_the_base(written):
    written(f"data: {DATA}\noptim: {{milestones: [1, 2, 3]}}", "base.yaml")

    config = read_config(written("base: base.yaml\noptim: {milestones: [4]}"))

    assert config.optim.milestones == (4,)


def test_a_file_can_reset_a_value_of_its_base(written):
    written(f"data: {DATA}\nvalidation: {DATA}", "base.yaml")

    assert read_config(written("base: base.yaml\nvalidation:")).validation is None


def test_a_circular_link_is_refused(tmp_path):
    (tmp_path / "run.yaml").symlink_to("run.yaml")

    with pytest.raises(ValueError, match=r"run\.yaml: can't be read .Too many levels"):
        read_config(tmp_path / "run.yaml")


def test_circular_bases_are_refused(written):
    written("base: run.yaml", "other.yaml")

    with pytest.raises(
        ValueError, match=r"run\.yaml: the chain of bases contains .*run\.yaml twice"
    ):
        read_config(written("base: other.yaml"))


def test_a_missing_base_is_named(written):
    with pytest.raises(ValueError, match=r"nowhere\.yaml: does not exist$"):
        read_config(written("base: nowhere.yaml"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("optim: {lr: 0.1", "invalid YAML: line 1, column 16: expected ',' or '}'"),
        ("a: b: c", "invalid YAML: line 1, column 5: mapping values are not allowed here"),
        ("train: {steps: 9}\ntrain: {steps: 3}", "invalid YAML: line 2, column 1: duplicate key"),
        ("train: {steps: 9, steps: 3}", "invalid YAML: line 1, column 19: duplicate key 'steps'"),
        ("- 1\n- 2", "expected a mapping of settings, found list"),
        ("", "expected a mapping of settings, found NoneType"),
        ("just words", "expected a mapping of settings, found str"),
        ("optim: !!python/object/apply:os.getcwd []", "invalid YAML: line 1, column 8: the tag"),
    ],
)
def test_a_file_of_something_else_is_refused_in_one_line(written, text, reason):
    with pytest.raises(ValueError, match=rf"run\.yaml: {reason}") as caught:
        read_config(written(text))

    assert "\n" not in str(caught.value)


def test_a_binary_file_is_refused(tmp_path):
    (tmp_path / "run.yaml").write_bytes(b"\xff\xfe\x00\xd8")

    with pytest.raises(ValueError, match=r"run\.yaml: not a text file"):
        read_config(tmp_path / "run.yaml")


def test_a_missing_file_is_refused_with_the_built_in_names():
    with pytest.raises(
        ValueError, match=r"nowhere\.yaml: does not exist\. Built-in: .* lite\.yaml"
    ):
        read_config(Path("nowhere.yaml"))


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="can't be read"):
        read_config(tmp_path)


def test_built_in_files_are_found_by_name(written):
    small = read_config(Path("tiny.yaml")).network.trunk

    assert small.name == "resnet10t"
    assert read_config(written("base: tiny.yaml\nroot: here")).network.trunk == small


def test_an_own_file_hides_the_built_in_one(written, monkeypatch, tmp_path):
    written("data: {images: mine, annotations: mine.json}", "tiny.yaml")
    monkeypatch.chdir(tmp_path)

    assert read_config(Path("tiny.yaml")).data.images == "mine"
    assert read_config(written("base: tiny.yaml")).data.images == "mine"


def test_built_in_files_are_found_by_name_without_a_folder_only(tmp_path):
    expected = r"does not exist; for the built-in file, give tiny\.yaml without a folder"
    with pytest.raises(ValueError, match=expected):
        read_config(tmp_path / "tiny.yaml")


@pytest.mark.parametrize("base", ["tiny.yaml", "./tiny.yaml"])
def test_a_file_can_override_the_built_in_one_of_its_name(written, base):
    config = read_config(written(f"base: {base}\noptim: {{lr: 0.25}}", "tiny.yaml"))

    assert config.optim.lr == 0.25
    assert config.network.trunk.name == "resnet10t"


def test_a_folder_does_not_hide_a_built_in_file(tmp_path, monkeypatch):
    (tmp_path / "tiny.yaml").mkdir()
    monkeypatch.chdir(tmp_path)

    assert read_config(Path("tiny.yaml")).network.trunk.name == "resnet10t"


@pytest.mark.parametrize("base", ["3", "''", "[a.yaml]"])
def test_a_base_is_the_name_of_a_file(written, base):
    with pytest.raises(ValueError, match=r"run\.yaml: base is .* expected the name of a file"):
        read_config(written(f"base: {base}"))


def test_too_deeply_nested_values_are_refused(written):
    with pytest.raises(ValueError, match=r"run\.yaml: invalid YAML: nested too deeply"):
        read_config(written("a: " + 3000 * "["))


def test_further_data_survives_being_written_and_read(written):
    config = made({"more_data": {"things": DATA | {"kind": "instances", "weight": 2}}})

    assert read_config(written(to_yaml(config))) == config


def test_a_base_may_have_further_data(written):
    written(f"data: {DATA}\nmore_data: {{a: {DATA}, b: {DATA}}}", "base.yaml")

    config = read_config(written(f"base: base.yaml\nmore_data: {{b: {{weight: 0}}, c: {DATA}}}"))

    assert [data.weight for data in config.more_data.values()] == [1, 0, 1]


def test_all_data_begins_in_the_root_of_the_run_or_of_its_own():
    config = made(
        {
            "root": "data",
            "more_data": {"near": DATA | {"root": "../near"}, "far": DATA | {"root": "/far"}},
        }
    )

    assert [str(data.location().images) for data in config.sources()] == [
        "data/photos",
        "data/../near/photos",
        "/far/photos",
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"train": {"epochs": 0}}, r"train\.epochs is 0; expected a positive number"),
        ({"train": {"keep": {"best": "mask_ap"}}}, r"keep\.best is mask_ap; expected --train\.ap"),
        ({"train": {"keep": {"best": "pq"}}}, r"keep\.best is pq; expected validation data"),
        ({"train": {"epochs": math.inf}}, r"train\.epochs is inf; expected .* up to 1,000,000"),
        ({"optim": {"milestone_epochs": [3, 2]}}, r"milestone_epochs is \(3\.0, 2\.0\)"),
        ({"optim": {"milestone_epochs": [math.inf]}}, r"milestone_epochs is \(inf,\)"),
        ({"objective": {"semantic_weights": ["inverse-sqrt", 1]}}, "inverse-sqrt alone"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        made(values)


def test_a_best_model_by_a_metric_that_the_network_lacks_is_refused():
    values = {"validation": DATA, "network": {"branches": "instance"}}

    with pytest.raises(ValueError, match=r"keep\.best is miou, which is not measured with .* inst"):
        made(values, "--train.keep.best", "miou")


def test_anchors_of_a_network_without_any_are_not_fitted():
    with pytest.raises(ValueError, match=r"network\.branches is semantic, which has no anchors"):
        made({}, "--train.fit-anchors", "--network.branches", "semantic")


def test_milestones_that_are_the_same_step_are_refused():
    config = made({"optim": {"milestone_epochs": [0.1, 0.2]}})

    with pytest.raises(ValueError, match=r"milestone_epochs is \(0\.1, 0\.2\), .* steps \(1, 1\)"):
        config.in_steps(photos=1)


def test_class_weights_are_numbers_or_a_rule():
    listed = made({"objective": {"semantic_weights": [1, 2.5]}})
    option = made({}, "--objective.semantic-weights", "inverse-sqrt")

    assert listed.objective.semantic_weights == (1.0, 2.5)
    assert option.objective.semantic_weights == ("inverse-sqrt",)
