from dataclasses import replace

import numpy as np
import pytest
import torch

import factories
import networks
from jsisnet.inference import saved_model
from jsisnet.inference.predictor import Predictor
from jsisnet.inference.rules import MergeConfig
from jsisnet.inference.saved_model import ModelConfig, SavedModel
from jsisnet.model.detection import DetectionConfig
from jsisnet.model.network import NetworkConfig
from jsisnet.model.rpn import ProposalConfig

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


def test_an_image_may_be_a_view_with_negative_strides():
    image = photo(40, 60)
    segment = predictor(min_stuff_area=0.0)

    assert np.array_equal(segment(image[:, ::-1]).ids, segment(image[:, ::-1].copy()).ids)


def test_the_instance_branch_alone_leaves_the_rest_void():
    config = replace(networks.TINY, branches="instance")

    panoptic = predictor(config)(photo(64, 96))

    assert all(segment.isthing for segment in panoptic.segments)


def test_the_semantic_branch_alone_gives_stuff():
    config = replace(networks.TINY, branches="semantic")

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


def test_command_line_options_win_over_the_settings_of_a_model(tmp_path):
    before = predictor()
    saved_model.write(
        tmp_path, before.config, factories.CATEGORIES, before.network.state_dict(), half=True
    )

    after = Predictor.load(tmp_path, overrides=["--merge.canvas", "original"])

    assert after.config.merge.canvas == "original"
    assert next(after.network.parameters()).dtype == torch.float32


def test_settings_are_keywords_of_the_merge_and_the_detection(tmp_path):
    before = predictor()
    saved_model.write(tmp_path, before.config, factories.CATEGORIES, before.network.state_dict())

    after = Predictor.load(tmp_path, canvas="original", min_score=0.25, max_detections=7)

    assert (after.config.merge.canvas, after.config.merge.min_score) == ("original", 0.25)
    detection = after.network.instance.config.detection
    assert (detection.min_score, detection.max_detections) == (0.25, 7)
    assert detection.max_overlap == networks.TINY.detection.max_overlap


def test_an_unknown_setting_is_refused_with_the_known_ones():
    with pytest.raises(TypeError, match=r"Did you mean 'min_score'\?.*area_unit, canvas"):
        Predictor.load("coco", min_scor=0.5)


def test_a_setting_of_the_wrong_kind_is_refused():
    with pytest.raises(ValueError, match=r'"paper" for .*canvas.*"original"'):
        Predictor.load("coco", canvas="paper")


def test_a_predictor_describes_itself_in_a_line():
    assert repr(predictor()) == "Predictor(3 thing and 3 stuff classes, 64x96, cpu)"


def saved(config: NetworkConfig, *, size: tuple[int, int] = SIZE, **merge: object) -> SavedModel:
    settings = ModelConfig(size=size, network=config, merge=MergeConfig(**merge))
    return SavedModel(settings, factories.CATEGORIES, networks.network(config))


SEMANTIC = replace(networks.TINY, branches="semantic")
INSTANCE = replace(networks.TINY, branches="instance", detection=DetectionConfig(min_score=0.0))


def test_the_instances_of_an_image_are_its_detections_without_padding():
    made = predictor(replace(INSTANCE, proposals=ProposalConfig(max_proposals=3)))
    outputs = made.outputs(photo(64, 96))

    instances = made.instances(outputs)

    found = outputs.detections
    count = int(found.valid[0].sum())
    assert 0 < count < found.valid.shape[1]
    assert len(instances) == count
    for name in ("boxes", "labels", "scores", "masks"):
        expected = getattr(found, name)[0, :count].numpy()
        assert np.array_equal(getattr(instances, name), expected)


def test_the_semantic_labels_have_the_size_of_the_photo():
    made = predictor()
    outputs = made.outputs(photo(64, 96))

    labels = made.semantic_labels(outputs, (131, 77))

    assert labels.shape == (131, 77)
    assert set(labels.ravel()) <= set(range(len(factories.CATEGORIES)))


def test_the_semantic_labels_are_the_best_of_the_resized_logits():
    made = predictor()
    outputs = made.outputs(photo(64, 96))

    labels = made.semantic_labels(outputs, (50, 70))

    resized = torch.nn.functional.interpolate(outputs.semantic, (50, 70), mode="bilinear")
    assert (labels == resized[0].argmax(0).numpy()).mean() > 0.999


def test_the_instance_branch_alone_has_no_semantic_labels():
    made = predictor(INSTANCE)
    outputs = made.outputs(photo(64, 96))

    with pytest.raises(ValueError, match="no semantic branch"):
        made.semantic_labels(outputs, (64, 96))


def test_two_networks_give_stuff_of_one_and_things_of_the_other():
    semantic, instance = saved(SEMANTIC, min_stuff_area=0.0), saved(INSTANCE)
    together = Predictor(semantic, instances_from=instance)
    thresholds = DetectionConfig(min_score=0.0, max_detections=7)

    outputs = together.outputs(photo(50, 70))

    alone = Predictor(instance)
    expected = alone.outputs(photo(50, 70))
    assert torch.equal(outputs.semantic, Predictor(semantic).outputs(photo(50, 70)).semantic)
    assert torch.equal(outputs.detections.boxes, expected.detections.boxes)
    again = together.instances(outputs, thresholds)
    assert len(again) == 7
    assert np.array_equal(again.boxes, alone.instances(expected, thresholds).boxes)
    assert torch.equal(outputs.candidates.objectness, expected.candidates.objectness)
    assert together.config == semantic.config


def test_two_networks_that_were_one_predict_what_it_does():
    joint = saved(replace(networks.TINY, detection=INSTANCE.detection), min_score=0.0)

    together = Predictor(joint, instances_from=joint)

    expected = Predictor(joint)(photo(50, 70))
    assert expected.segments
    assert np.array_equal(together(photo(50, 70)).ids, expected.ids)


def test_two_networks_are_read_from_disk_with_the_same_options(tmp_path):
    for name, model in (("semantic", saved(SEMANTIC)), ("instance", saved(INSTANCE))):
        state = model.network.state_dict()
        saved_model.write(tmp_path / name, model.config, factories.CATEGORIES, state)

    together = Predictor.load(
        tmp_path / "semantic", size=(32, 64), instances_from=tmp_path / "instance"
    )

    assert together.config.size == (32, 64)
    assert together(photo(50, 70)).size == (50, 70)


def test_networks_without_the_branch_that_is_needed_are_refused():
    with pytest.raises(ValueError, match="the model has no semantic branch"):
        Predictor(saved(INSTANCE), instances_from=saved(INSTANCE))
    with pytest.raises(ValueError, match="to take instances from has no instance branch"):
        Predictor(saved(SEMANTIC), instances_from=saved(SEMANTIC))


def test_networks_of_different_input_sizes_are_refused():
    with pytest.raises(ValueError, match=r"sees images at 64x96, .* at 32x32; expected one size"):
        Predictor(saved(SEMANTIC), instances_from=saved(INSTANCE, size=(32, 32)))


def test_networks_of_different_classes_are_refused():
    other = networks.numbered(3, 3)
    instance = SavedModel(saved(INSTANCE).config, other, networks.network(INSTANCE, other))

    with pytest.raises(ValueError, match="different classes"):
        Predictor(saved(SEMANTIC), instances_from=instance)
