import numpy as np
import pytest
import torch

import factories
import networks
from jsisnet import saved_model
from jsisnet.inference.merge import MergeConfig
from jsisnet.model.network import NetworkConfig
from jsisnet.predictor import Predictor
from jsisnet.saved_model import ModelConfig, SavedModel

SIZE = (64, 96)


def predictor(config: NetworkConfig = networks.TINY, **merge: object) -> Predictor:
    settings = ModelConfig(size=SIZE, network=config, merge=MergeConfig(**merge))
    return Predictor(SavedModel(settings, factories.CATEGORIES, networks.network(config)))


def photo(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("size", [(64, 96), (1, 1), (1, 200), (131, 77)])
def test_the_map_has_the_size_of_the_photo(size):
    panoptic = predictor(min_stuff_area=0.0)(photo(*size))

    assert panoptic.size == size
    assert panoptic.segments


def test_the_same_photo_gives_the_same_map():
    segment = predictor(min_stuff_area=0.0)

    first, second = segment(photo(50, 70)), segment(photo(50, 70))

    assert first.segments == second.segments
    assert np.array_equal(first.ids, second.ids)


def test_the_network_sees_the_photo_in_its_input_size():
    outputs = predictor().outputs(photo(131, 77))

    assert outputs.semantic is not None
    assert outputs.semantic.shape == (1, len(factories.CATEGORIES), SIZE[0] // 4, SIZE[1] // 4)


def test_a_photo_may_be_a_view_that_is_read_backwards():
    image = photo(40, 60)
    segment = predictor(min_stuff_area=0.0)

    assert np.array_equal(segment(image[:, ::-1]).ids, segment(image[:, ::-1].copy()).ids)


def test_the_instance_branch_alone_leaves_the_rest_void():
    config = networks.replace(networks.TINY, branches="instance")

    panoptic = predictor(config)(photo(64, 96))

    assert all(segment.isthing for segment in panoptic.segments)


def test_the_semantic_branch_alone_gives_stuff():
    config = networks.replace(networks.TINY, branches="semantic")

    panoptic = predictor(config, min_stuff_area=0.0)(photo(64, 96))

    assert panoptic.segments
    assert not any(segment.isthing for segment in panoptic.segments)


def test_a_saved_model_predicts_what_it_did_before(tmp_path):
    before = predictor(min_stuff_area=0.0)
    state = before.network.state_dict()
    saved_model.write(tmp_path, before.config, factories.CATEGORIES, state)

    after = Predictor.load(tmp_path)

    assert after.config == before.config
    assert after.categories == factories.CATEGORIES
    assert np.array_equal(after(photo(50, 70)).ids, before(photo(50, 70)).ids)


def test_options_win_over_the_settings_of_a_model(tmp_path):
    before = predictor()
    saved_model.write(
        tmp_path, before.config, factories.CATEGORIES, before.network.state_dict(), half=True
    )

    after = Predictor.load(tmp_path, "--merge.canvas", "original")

    assert after.config.merge.canvas == "original"
    assert next(after.network.parameters()).dtype == torch.float32
