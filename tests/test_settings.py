import re
from dataclasses import replace
from pathlib import Path

import pytest

from jsisnet import settings
from jsisnet.formats.dataset import DataConfig
from jsisnet.inference.model_folder import PredictionConfig
from jsisnet.model.network import NetworkConfig
from jsisnet.model.roi_last_stage import LastStageConfig
from jsisnet.model.roi_light import LightConfig
from jsisnet.model.saved_model import ModelConfig
from jsisnet.model.trunk import TrunkConfig
from jsisnet.settings import from_dict, plain
from jsisnet.training.config import RunConfig, read_config
from jsisnet.training.optim import OptimConfig

DATA = {"images": "photos", "annotations": "truth.json"}
PHOTOS = DataConfig(images="photos", annotations="truth.json")


def made(values: dict | None = None, *options: str) -> RunConfig:
    return from_dict(RunConfig, {"data": DATA} | (values or {}), options, source="run.yaml")


def refused(values: dict, *options: str) -> str:
    with pytest.raises(ValueError, match=r"^run\.yaml: ") as caught:
        from_dict(RunConfig, values, options, source="run.yaml")
    return str(caught.value).removeprefix("run.yaml: ")


def test_values_are_given_by_section():
    config = made({"optim": {"lr": 0.01}, "network": {"trunk": {"freeze_norm": True}}})

    assert config.optim == OptimConfig(lr=0.01)
    assert config.network == NetworkConfig(trunk=TrunkConfig(freeze_norm=True))


def test_one_value_of_a_section_leaves_its_other_defaults():
    config = made({"objective": {"regions": {"samples": 32}}}, "--objective.anchors.samples", "9")

    default = RunConfig(data=PHOTOS).objective
    assert config.objective.regions == replace(default.regions, samples=32)
    assert config.objective.anchors == replace(default.anchors, samples=9)


def test_numbers_may_be_strings_or_integral_floats():
    config = made({"optim": {"lr": "1e-3", "warmup": 5.0}, "network": {"anchors": {"sizes": [8]}}})

    assert (config.optim.lr, config.optim.warmup) == (0.001, 5)
    assert config.network.anchors.sizes == (8.0,)


def test_an_area_may_be_a_fraction_of_the_image():
    merge = {"min_stuff_area": 1 / 2048, "area_unit": "image"}

    assert made({"merge": merge}).merge.min_stuff_area == 1 / 2048
    assert made({}, "--merge.min-stuff-area", "0.0005").merge.min_stuff_area == 0.0005


def test_options_take_precedence_over_values():
    config = made(
        {"optim": {"lr": 0.01, "milestones": [5, 6]}, "data": DATA | {"cache": True}},
        *("--optim.lr", "0.02", "--optim.milestones", "7", "--data.cache=false"),
        *("--network.trunk.freeze-norm", "--augment.size", "32", "64"),
    )

    assert (config.optim.lr, config.optim.milestones) == (0.02, (7,))
    assert not config.data.cache
    assert config.network.trunk.freeze_norm
    assert config.augment.size == (32, 64)


def test_options_may_supply_missing_values():
    options = ("--data.images", "photos", "--data.annotations", "truth.json")

    assert from_dict(RunConfig, {}, options, source="run.yaml") == RunConfig(data=PHOTOS)


def test_validation_may_be_left_empty():
    assert made({"validation": None}).validation is None


@pytest.mark.parametrize(
    ("values", "name", "nearest"),
    [
        ({"optim": {"lrr": 0.1}}, "optim.lrr", "optim.lr"),
        ({"optmi": {"lr": 0.1}}, "optmi", "optim"),
        ({"network": {"trunk": {"freeze-norm": True}}}, "freeze-norm", "network.trunk.freeze_norm"),
        ({"lr": 0.1}, "lr", "optim.lr"),
        ({"optim": {"steps": 5}}, "optim.steps", "train.steps"),
        ({"anchors": {"sizes": [8]}}, "anchors", "network.anchors"),
    ],
)
def test_a_misspelt_or_misplaced_setting_gets_the_right_name(values, name, nearest):
    message = refused({"data": DATA} | values)

    assert message.startswith("unknown setting ")
    assert name in message
    assert message.endswith(f"did you mean {nearest}?")


def test_a_misspelt_option_gets_the_right_name():
    assert "--optim.lr?" in refused({"data": DATA}, "--optim.lrr", "0.1")


def test_an_unfamiliar_name_gets_no_suggestion():
    assert refused({"data": DATA, "zzzzzzzz": 1}) == "unknown setting zzzzzzzz"
    assert refused({"data": DATA, 7: 1}) == "unknown setting 7"


def test_missing_data_are_named():
    assert refused({}) == "data is missing; expected at least data.images"
    assert refused({"data": {"images": "photos"}}) == (
        "data.annotations is required by the format coco"
    )
    assert refused({"data": DATA, "validation": {"images": "photos"}}) == (
        "validation.annotations is required by the format coco"
    )


@pytest.mark.parametrize("value", [3, [1, 2], "fast", None])
@pytest.mark.parametrize("section", ["optim", "data"])
def test_a_section_that_is_a_value_is_refused(section, value):
    message = refused({"data": DATA} | {section: value})

    assert message == f"{section} is {value!r}; expected a mapping of settings"


def test_a_section_of_a_section_that_is_a_value_is_refused():
    message = refused({"data": DATA, "network": {"trunk": "resnet50"}})

    assert message == "network.trunk is 'resnet50'; expected a mapping of settings"


@pytest.mark.parametrize(
    ("options", "setting"),
    [
        (("--network.trunk", "resnet18"), "--network.trunk.name"),
        (("--network.semantic=4", "--optim.lr", "1"), "--network.semantic.method"),
        (("--optim.lr", "1", "--devices"), "--devices.accelerator"),
    ],
)
def test_an_option_that_is_a_section_is_refused(options, setting):
    with pytest.raises(ValueError, match=rf"is a section; .*, such as {setting}$"):
        made({}, *options)


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        (("--train.batch-size", "2.5"), "--train.batch-size is '2.5'"),
        (("--train.batch-size=2.5",), "--train.batch-size is '2.5'"),
        (("--optim.milestones", "4", "--optim.milestones", "6.5"), "--optim.milestones is '6.5'"),
        (("--size", "12", "20.4"), "--size is '20.4'"),
    ],
)
def test_a_fraction_is_refused_where_an_integer_is_expected(options, refused):
    with pytest.raises(ValueError, match=r"expected an integer$") as error:
        made({}, *options)

    assert str(error.value).startswith(refused)


@pytest.mark.parametrize(
    ("section", "name", "value", "words"),
    [
        ("optim", "lr", "fast", ["lr", "fast", "a number"]),
        ("train", "steps", 1.5, ["train.steps is 1.5", "integer"]),
        ("train", "steps", True, ["steps", "int"]),
        ("train", "precision", "16", ["precision", "32-true", "bf16-mixed"]),
        ("augment", "size", [400], ["augment.size is [400]", "2 values"]),
        ("augment", "size", 400, ["augment.size is 400", "2 values"]),
        ("augment", "size", [1, 2, 3], ["augment.size is [1, 2, 3]", "2 values"]),
        ("augment", "size", [1.5, 2], ["augment.size is [1.5, 2]", "integer"]),
        ("network", "branches", "both", ["branches", "joint", "semantic", "instance"]),
        ("train", "steps", 0, ["train.steps is 0", "1 to 1,000,000,000"]),
        ("train", "workers", -1, ["train.workers is -1", "0 to 256"]),
        ("train", "workers", 100_000, ["train.workers is 100000", "0 to 256"]),
        ("train", "batch_size", 10**8, ["train.batch_size is 100000000", "1 to 65,536"]),
        ("train", "seed", 10**18, ["train.seed", "0 to 4,294,967,295"]),
        ("train", "keep", {"every": 10**18}, ["train.keep.every", "0 to 1,000,000,000"]),
        ("augment", "size", [10**5, 10**5], ["size is (100000, 100000)", "up to 16,384"]),
        ("augment", "size", [16_000, 16_000], ["size is (16000, 16000)", "67,108,864 pixels"]),
        ("augment", "max_scale", 1e18, ["scales from 1.0 to 1e+18", "0.01 to 100"]),
        ("network", "trunk", {"channels": 10**18}, ["network.trunk.channels is 1000", "8,192"]),
        ("network", "semantic", {"bins": [1, 10**6]}, ["semantic.bins is (1, 1000000)", "256"]),
        ("network", "roi", {"crop": 10**6}, ["roi.crop is 1000000", "1 to 512"]),
        ("network", "rpn_channels", 0, ["network.rpn_channels is 0", "1 to 8,192"]),
        ("network", "anchors", {"sizes": [1] * 65}, ["anchors.sizes has 65", "1 to 64"]),
        ("network", "proposals", {"max_proposals": 10**18}, ["max_proposals", "1 to 100,000"]),
        ("devices", "accumulate", 10**18, ["devices.accumulate", "1 to 65,536"]),
        ("objective", "weights", {"l2": 1e300}, ["objective.weights.l2 is 1e+300", "to 1e+30"]),
        ("optim", "lr", -1, ["optim.lr is -1", "positive"]),
        ("optim", "lr", {"a": 1}, ["optim.lr"]),
    ],
)
def test_a_value_of_the_wrong_kind_is_named_with_what_was_expected(section, name, value, words):
    message = refused({"data": DATA, section: {name: value}})

    assert all(word in message for word in words), message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([400], "size is [400]; expected 2 values"),
        (400, "size is 400; expected 2 values"),
        ([1, 2, 3], "size is [1, 2, 3]; expected 2 values"),
        ([1.5, 2], "size is [1.5, 2]; expected an integer"),
    ],
)
def test_a_value_of_the_wrong_form_is_refused_where_none_is_allowed_too(value, message):
    assert refused({"data": DATA, "size": value}) == message


def test_positional_arguments_are_refused():
    assert "stray" in refused({"data": DATA}, "stray")


def test_settings_of_a_model_are_checked_the_same_way():
    config = from_dict(ModelConfig, {"size": [64, 96]}, ("--merge.canvas", "original"), source="m")

    assert config.size == (64, 96)
    assert config.merge.canvas == "original"
    with pytest.raises(ValueError, match="m: unknown setting sice; did you mean size"):
        from_dict(ModelConfig, {"sice": [64, 96]}, source="m")
    with pytest.raises(ValueError, match="m: size is missing"):
        from_dict(ModelConfig, {}, source="m")


MORE = {"photos": DATA, "things": DATA | {"kind": "instances", "weight": 2}}
THINGS = replace(PHOTOS, kind="instances", weight=2.0)


def test_further_data_have_user_defined_names():
    config = made({"more_data": MORE})

    assert config.more_data == {"photos": PHOTOS, "things": THINGS}
    assert made().more_data == made({"more_data": {}}).more_data == {}


def test_options_override_and_extend_further_data():
    config = made(
        {"more_data": MORE},
        *("--more-data.things.weight", "0.5", "--more-data.photos.cache"),
        *("--more-data.my-own.images", "photos", "--more-data.my_own.annotations=truth.json"),
    )

    assert config.more_data == {
        "photos": replace(PHOTOS, cache=True),
        "things": replace(THINGS, weight=0.5),
        "my_own": PHOTOS,
    }


@pytest.mark.parametrize(
    ("more_data", "message"),
    [
        (3, "more_data is 3; expected a mapping of settings"),
        (None, "more_data is None; expected a mapping of settings"),
        ({"a": 3}, "more_data.a is 3; expected a mapping of settings"),
        ({"a": {}}, "more_data.a"),
        ({"a": {"images": "x"}}, "more_data.a.annotations is required by the format coco"),
        ({"a": {"imagse": "x"}}, "more_data.a.imagse; did you mean more_data.a.images?"),
        ({"a": DATA | {"kind": "cooc"}}, "a.kind is 'cooc'. Did you mean coco? Choices: coco, c"),
        ({"a": DATA | {"weight": -1}}, "weight is -1; expected 0 to 1,000"),
        ({"a-b": DATA}, "more_data.a-b: expected a name of lower-case letters, digits and _"),
        ({"A": DATA}, "more_data.A: expected a name of lower-case letters"),
        ({1: DATA}, "more_data.1: expected a name of lower-case letters"),
        ({"class": DATA}, "more_data.class: expected a name of lower-case letters"),
    ],
)
def test_invalid_further_data_are_refused(more_data, message):
    assert message in refused({"data": DATA, "more_data": more_data})


def test_a_misspelt_name_of_further_data_gets_the_right_one():
    values = {"data": DATA, "more_data": MORE}

    message = refused(values, "--more-data.thigns.weight", "0")

    assert message == "more_data.thigns.images is missing; did you mean more_data.things.images?"
    assert "--more-data.things.weight?" in refused(values, "--more-data.things.wieght", "0")


def test_a_section_has_the_settings_of_the_chosen_method():
    light = made({"network": {"roi": {"head": "light", "hidden": 64}}}).network.roi

    assert light == LightConfig(hidden=64)
    assert made().network.roi == LastStageConfig()


def test_an_option_chooses_a_method_and_sets_it():
    options = ("--network.roi.head", "light", "--network.roi.hidden=64")

    assert made({}, *options).network.roi == LightConfig(hidden=64)
    assert made({}, "--network.roi.head=c5").network.roi == LastStageConfig(head="c5")


def test_another_method_keeps_the_values_that_it_knows():
    values = {"network": {"roi": {"head": "light", "hidden": 64, "width": 32, "norm": "group"}}}

    changed = made(values, "--network.roi.head", "last_stage").network.roi

    assert changed == LastStageConfig(width=32, norm="group")


def test_settings_with_a_choice_survive_as_plain_values():
    config = made({}, "--network.roi.head", "light")

    assert from_dict(RunConfig, plain(config), source="text") == config


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ({"head": "lights"}, (), "network.roi.head is 'lights'. Did you mean light? Choices: "),
        ({"hiddens": 4}, (), "unknown setting network.roi.hiddens"),
        ({"head": "light", "hidden": 0}, (), "roi.hidden is 0; expected 1 to"),
        ({"head": None}, (), "network.roi.head is 'null'. Choices: last_stage, c5, light, fpn"),
        ({}, ("--network.roi.head=",), "network.roi.head is ''. Choices: last_stage, c5, light"),
        ({}, ("--network.roi.head", "lights"), "--network.roi.head is 'lights'. Did you mean"),
        (
            {},
            ("--network.roi.hidden", "4"),
            "--network.roi.hidden is a setting of the head light; network.roi.head is last_stage",
        ),
    ],
)
def test_a_wrong_choice_or_setting_of_a_method_is_named(values, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        made({"network": {"roi": values}}, *options)


def test_values_by_name_are_a_mapping_or_pairs():
    given = {"traffic light": 0.3, "a, b.c": 0.7}
    pairs = tuple(given.items())

    for values in (given, [list(pair) for pair in pairs]):
        config = from_dict(
            PredictionConfig, {"size": None, "merge": {"class_min_scores": values}}, source="m"
        )
        assert config.merge.class_min_scores == pairs
    options = ["--merge.class-min-scores", "a car", "0.2", "--merge.class-min-scores", "b", "0.1"]
    config = from_dict(
        PredictionConfig, {"size": None, "merge": {"class_min_scores": given}}, options, source="m"
    )
    assert config.merge.class_min_scores == (("a car", 0.2), ("b", 0.1))
    with pytest.raises(ValueError, match=r"expected a value for each name, such as \{person: 0.5"):
        from_dict(
            PredictionConfig, {"size": None, "merge": {"class_min_scores": ["a"]}}, source="m"
        )


@pytest.mark.parametrize("name", ["tiny.yaml", "authors2019.yaml", "coco_mini_more.yaml"])
def test_what_needs_no_conversion_is_what_the_parser_returns(name, monkeypatch):
    exact = read_config(Path(name))
    monkeypatch.setattr(settings, "_of_exact_types", lambda *_: None)

    assert repr(exact) == repr(read_config(Path(name)))


def test_plain_values_are_not_parsed(monkeypatch):
    monkeypatch.setattr(settings, "_parsed", lambda *_: pytest.fail("was parsed"))

    found = from_dict(ModelConfig, {"size": [3, 4], "network": plain(NetworkConfig())}, source="a")

    assert (found.size, found.network) == ((3, 4), NetworkConfig())
