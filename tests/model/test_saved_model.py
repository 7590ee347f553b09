import json
import random

import pytest
import safetensors.torch
import torch

import factories
import networks
from jsisnet.model import saved_model
from jsisnet.model.saved_model import DESCRIPTION, WEIGHTS, ModelConfig

CONFIG = ModelConfig(size=(64, 96), network=networks.TINY)


@pytest.fixture
def folder(tmp_path):
    state = networks.network().state_dict()
    saved_model.write(tmp_path / "model", CONFIG, factories.CATEGORIES, state)
    return tmp_path / "model"


def test_a_written_model_is_read_back_unchanged(folder):
    model = saved_model.read(folder)

    assert (model.config, model.categories) == (CONFIG, factories.CATEGORIES)
    written = networks.network().state_dict()
    assert all(torch.equal(written[n], v) for n, v in model.network.state_dict().items())
    assert not model.network.training


def test_merged_classes_remember_their_members(tmp_path):
    merged = factories.CATEGORIES.merged_by("supercategory")
    state = networks.network(categories=merged).state_dict()
    saved_model.write(tmp_path, CONFIG, merged, state)

    labels = saved_model.read(tmp_path).categories.labels_of(factories.CATEGORIES)

    assert [merged[label].name for label in labels] == [
        category.supercategory for category in factories.CATEGORIES
    ]


def test_half_precision_halves_the_file_and_reads_as_single(tmp_path, folder):
    state = networks.network().state_dict()
    saved_model.write(tmp_path / "half", CONFIG, factories.CATEGORIES, state, half=True)

    sizes = [(path / WEIGHTS).stat().st_size for path in (tmp_path / "half", folder)]
    assert sizes[0] < 0.6 * sizes[1]
    parameters = saved_model.read(tmp_path / "half").network.parameters()
    assert all(parameter.dtype == torch.float32 for parameter in parameters)


def test_nothing_but_the_two_files_is_left_in_the_folder(folder):
    assert {path.name for path in folder.iterdir()} == {DESCRIPTION, WEIGHTS}


def test_an_unknown_model_is_refused_with_the_nearest_name_and_all_names(tmp_path):
    with pytest.raises(ValueError, match=r"No model named 'cooc'\. Did you mean coco\? Built-in"):
        saved_model.read("cooc")
    with pytest.raises(ValueError, match=r"nowhere'\. Built-in models: coco, street.*model\.json"):
        saved_model.read(str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="nowhere does not exist; expected a model or run folder"):
        saved_model.read(tmp_path / "nowhere")


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no model\.json in it; expected a model or run folder"):
        saved_model.read(tmp_path)


def test_a_misspelt_setting_of_a_model_is_refused(folder):
    path = folder / DESCRIPTION
    path.write_text(path.read_text().replace("min_score", "min_scor"))

    with pytest.raises(ValueError, match=r"model\.json.*min_scor"):
        saved_model.read(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"categories": 3}'])
def test_a_damaged_description_is_refused(folder, content):
    (folder / DESCRIPTION).write_text(content)

    with pytest.raises(ValueError, match=r"model\.json"):
        saved_model.read(folder)


@pytest.mark.parametrize("content", [b"", b"not weights", bytes(100)])
def test_damaged_weights_are_refused(folder, content):
    (folder / WEIGHTS).write_bytes(content)

    with pytest.raises(ValueError, match=r"model\.safetensors"):
        saved_model.read(folder)


def test_methods_that_do_not_fit_each_other_are_refused_by_file(folder):
    description = json.loads((folder / DESCRIPTION).read_text())
    description["network"]["semantic"] = {"method": "fpn"}
    (folder / DESCRIPTION).write_text(json.dumps(description))

    with pytest.raises(ValueError, match=rf"{DESCRIPTION}: .*neck pyramid"):
        saved_model.read(folder)


def test_weights_of_another_network_are_refused(folder):
    safetensors.torch.save_file({"other": torch.zeros(1)}, folder / WEIGHTS)

    with pytest.raises(ValueError, match=r"model\.safetensors: not the weights of model\.json"):
        saved_model.read(folder)


def test_missing_weights_are_refused(folder):
    (folder / WEIGHTS).unlink()

    with pytest.raises(ValueError, match=r"model\.safetensors"):
        saved_model.read(folder)


def test_classes_that_do_not_fit_the_weights_are_refused(folder):
    path = folder / DESCRIPTION
    values = json.loads(path.read_text())
    values["categories"].pop()
    path.write_text(json.dumps(values))

    with pytest.raises(ValueError, match=r"model\.safetensors"):
        saved_model.read(folder)


def test_damaged_weights_are_found_by_their_checksum(folder):
    weights, dice = folder / WEIGHTS, random.Random(0)
    content = weights.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")

    for place in (start, dice.randrange(start, len(content)), len(content) - 1):
        damaged = bytearray(content)
        damaged[place] ^= 1 << dice.randrange(8)
        weights.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"model\.safetensors: damaged, .*; copy or download"):
            saved_model.read(folder)


def test_weights_without_a_checksum_are_read(folder):
    safetensors.torch.save_file(safetensors.torch.load_file(folder / WEIGHTS), folder / WEIGHTS)

    assert saved_model.read(folder).config == CONFIG


def test_equal_weights_have_equal_files(folder, tmp_path):
    state = networks.network().state_dict()
    saved_model.write(tmp_path / "second", CONFIG, factories.CATEGORIES, state)

    assert (tmp_path / "second" / WEIGHTS).read_bytes() == (folder / WEIGHTS).read_bytes()
