import io
import pickle
import re
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import factories
import networks
from jsisnet.inference.engine import EngineOptions, Extras, resize
from jsisnet.inference.merge import Instances, merge
from jsisnet.inference.predictor import Predictor, semantic_labels
from jsisnet.inference.result import Result
from jsisnet.inference.rules import MergeConfig
from jsisnet.inference.thresholds import DetectionConfig, ProposalConfig
from jsisnet.model import saved_model
from jsisnet.model.engine import TorchEngine
from jsisnet.model.network import NetworkConfig
from jsisnet.model.saved_model import ModelConfig, SavedModel

SIZE = (64, 96)
SEMANTIC = replace(networks.TINY, branches="semantic")
INSTANCE = replace(networks.TINY, branches="instance", detection=DetectionConfig(min_score=0.0))


def saved(
    config: NetworkConfig = networks.TINY, *, size: tuple[int, int] = SIZE, **merge: object
) -> SavedModel:
    settings = ModelConfig(size=size, network=config, merge=MergeConfig(**merge))
    return SavedModel(settings, factories.CATEGORIES, networks.network(config))


def predictor(config: NetworkConfig = networks.TINY, **merge: object) -> Predictor:
    return Predictor(TorchEngine(saved(config, **merge)))


def write(model: SavedModel, folder, **how: object) -> None:
    state = model.network.state_dict()
    saved_model.write(folder, model.config, model.categories, state, **how)


def photo(height: int, width: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("size", [(64, 96), (1, 1), (1, 200), (131, 77)])
def test_the_map_has_the_size_of_the_photo(size):
    result = predictor(min_stuff_area=0.0)(photo(*size))

    assert isinstance(result, Result)
    assert result.panoptic.size == result.image.shape[:2] == size
    assert result.panoptic.segments


def test_the_same_photo_gives_the_same_map():
    segment = predictor(min_stuff_area=0.0)

    first, second = segment.panoptic(photo(50, 70)), segment.panoptic(photo(50, 70))

    assert first.segments == second.segments
    assert np.array_equal(first.ids, second.ids)


def test_a_file_its_bytes_and_its_pixels_give_the_same_result(tmp_path):
    segment = predictor(min_stuff_area=0.0)
    path = tmp_path / "photo.png"
    Image.fromarray(photo(50, 70)).save(path)

    results = [
        segment(source)
        for source in (
            path,
            str(path),
            path.read_bytes(),
            io.BytesIO(path.read_bytes()),
            Image.open(path),
            photo(50, 70),
            torch.from_numpy(photo(50, 70)),
        )
    ]

    assert all(np.array_equal(r.panoptic.ids, results[0].panoptic.ids) for r in results)
    names = [result.name for result in results]
    assert names == [str(path)] * 2 + [None, None, str(path), None, None]


def test_a_list_gives_a_list_in_its_order():
    segment = predictor(min_stuff_area=0.0)
    photos = [photo(20 + 10 * number, 40, seed=number) for number in range(5)]

    results = segment(photos)

    assert isinstance(results, list)
    assert [result.panoptic.size for result in results] == [image.shape[:2] for image in photos]
    for image, result in zip(photos, results, strict=True):
        assert np.array_equal(result.panoptic.ids, segment.panoptic(image).ids)
    assert segment([]) == []


def test_an_iterator_is_read_as_results_are_asked_for():
    taken = []

    def stream():
        for number in range(100):
            taken.append(number)
            yield photo(30, 40, seed=number)

    results = predictor()(stream())
    next(results)

    assert taken == [0]


def test_an_unreadable_photo_of_several_is_named(tmp_path):
    segment = predictor()
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no photo")

    with pytest.raises(ValueError, match="^" + re.escape(str(bad))):
        segment([photo(30, 40), bad])
    with pytest.raises(ValueError, match=r"^photo 2: the bytes"):
        list(segment(iter([photo(30, 40), b"no photo"])))


@pytest.mark.parametrize("kind", [list, iter])
def test_unreadable_photos_can_be_skipped(kind):
    failed = []
    photos = [photo(30, 40), b"no photo", np.zeros((0, 4, 3), np.uint8), photo(20, 50)]

    results = predictor()(kind(photos), on_error=lambda source, _: failed.append(source))

    assert [result.panoptic.size for result in results] == [(30, 40), (20, 50)]
    assert [each is source for each, source in zip(failed, photos[1:3], strict=True)] == [True] * 2


def test_batches_have_the_size_that_suits_the_engine():
    segment = predictor(min_stuff_area=0.0)
    segment.engine.batch_size = 3
    sizes = []
    segment.engine.network.register_forward_hook(lambda _, images, __: sizes.append(len(images[0])))

    results = segment([photo(30, 40, seed=number) for number in range(7)])

    assert sizes == [3, 3, 1]
    for number, result in enumerate(results):
        alone = segment.panoptic(photo(30, 40, seed=number))
        assert (result.panoptic.ids == alone.ids).mean() > 0.999


def test_several_threads_share_a_predictor():
    segment = predictor(min_stuff_area=0.0)
    photos = [photo(30, 40, seed=number) for number in range(8)]

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(segment, photos))

    for image, result in zip(photos, results, strict=True):
        assert np.array_equal(result.panoptic.ids, segment.panoptic(image).ids)


def test_a_pickled_predictor_predicts_the_same():
    segment = predictor(min_stuff_area=0.0)

    other = pickle.loads(pickle.dumps(segment))

    assert repr(other) == repr(segment)
    assert np.array_equal(other.panoptic(photo(50, 70)).ids, segment.panoptic(photo(50, 70)).ids)


def test_the_network_sees_the_photo_in_its_input_size():
    outputs = predictor().outputs(photo(131, 77))

    assert outputs.semantic is not None
    assert outputs.semantic.shape == (len(factories.CATEGORIES), SIZE[0] // 4, SIZE[1] // 4)


def test_photos_are_averaged_when_they_shrink():
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2] = 200

    assert np.abs(resize(stripes, (4, 4)).astype(int) - 100).max() < 20
    assert resize(stripes, (32, 32)) is stripes


def test_an_image_may_be_a_view_with_negative_strides():
    image = photo(40, 60)
    segment = predictor(min_stuff_area=0.0)

    flipped = segment.panoptic(image[:, ::-1])

    assert np.array_equal(flipped.ids, segment.panoptic(image[:, ::-1].copy()).ids)


def test_the_instance_branch_alone_leaves_the_rest_void():
    panoptic = predictor(replace(networks.TINY, branches="instance")).panoptic(photo(64, 96))

    assert all(segment.isthing for segment in panoptic.segments)


def test_the_semantic_branch_alone_gives_stuff():
    panoptic = predictor(SEMANTIC, min_stuff_area=0.0).panoptic(photo(64, 96))

    assert panoptic.segments
    assert not any(segment.isthing for segment in panoptic.segments)


def test_only_the_wanted_classes_are_segmented():
    engine = TorchEngine(saved(min_stuff_area=0.0))
    everything = Predictor(engine).panoptic(photo(64, 96))
    names = [factories.CATEGORIES[segment.label].name for segment in everything.segments]

    some = Predictor(engine, classes=names[:1]).panoptic(photo(64, 96))

    assert {factories.CATEGORIES[segment.label].name for segment in some.segments} == {names[0]}
    wanted = [number for number, name in enumerate(names, 1) if name == names[0]]
    assert np.array_equal(some.ids > 0, np.isin(everything.ids, wanted))


def test_an_unknown_class_is_refused_with_the_nearest_one():
    with pytest.raises(ValueError, match=r"No class named 'persn'\. Did you mean 'person'\? Class"):
        Predictor(TorchEngine(saved()), classes=["persn"])


def test_a_saved_model_predicts_what_it_did_before(tmp_path):
    before = predictor(min_stuff_area=0.0)
    write(saved(min_stuff_area=0.0), tmp_path)

    after = Predictor(tmp_path)

    assert after.config == before.config
    assert after.categories == factories.CATEGORIES
    assert np.array_equal(after.panoptic(photo(50, 70)).ids, before.panoptic(photo(50, 70)).ids)


def test_command_line_options_win_over_the_settings_of_a_model(tmp_path):
    write(saved(), tmp_path, half=True)

    after = Predictor.load(tmp_path, overrides=("--merge.canvas", "original"))

    assert after.config.merge.canvas == "original"
    assert next(after.engine.network.parameters()).dtype == torch.float32


def test_settings_are_keywords_of_the_merge_and_the_detection(tmp_path):
    write(saved(), tmp_path)

    after = Predictor.load(tmp_path, canvas="original", min_score=0.25, max_detections=7)

    assert (after.config.merge.canvas, after.config.merge.min_score) == ("original", 0.25)
    for detection in (after.config.network.detection, after.engine.network.config.detection):
        assert (detection.min_score, detection.max_detections) == (0.25, 7)
        assert detection.max_overlap == networks.TINY.detection.max_overlap


def test_an_unknown_setting_is_refused_with_the_known_ones():
    with pytest.raises(TypeError, match=r"Did you mean min_score\?.*area_unit, canvas"):
        Predictor.load("coco", min_scor=0.5)


@pytest.mark.parametrize("value", [3, -0.5])
def test_a_score_out_of_range_is_refused(value):
    with pytest.raises(ValueError, match=f"min_score is {value}; expected a number from 0 to 1"):
        Predictor("coco", min_score=value)


def test_a_setting_of_the_wrong_kind_is_refused():
    with pytest.raises(
        ValueError, match=r"settings: merge\.canvas is 'paper'. Choices: network, original"
    ):
        Predictor.load("coco", canvas="paper")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threads": 0}, "threads is 0; expected an integer, at least 1"),
        ({"threads": "2"}, "threads is '2'; expected an integer, at least 1"),
        ({"threads": 2.5}, "threads is 2.5; expected an integer, at least 1"),
        ({"device": None}, "no device 'None'|device is 'None'"),
        ({"classes": "person"}, r"classes is 'person'; expected a list of names"),
        ({"classes": [1]}, "No class named 1"),
        ({"precision": "float16"}, "precision is 'float16'.*Choices: float32, bfloat16"),
        ({"engine": "onnx"}, r"No engine named 'onnx'\. Did you mean 'onnxruntime'\? Engines: "),
        ({"device": "toaster", "engine": "torch"}, "device is 'toaster', which can't be used here"),
        ({"device": "meta", "engine": "torch"}, "device is 'meta', which can't be used here"),
    ],
)
def test_ways_to_run_that_do_not_exist_are_refused(settings, message):
    with networks.shapes_unchecked(), pytest.raises(ValueError, match=message):
        Predictor("coco", **settings)


def test_a_device_of_torch_is_taken_by_its_name():
    made = Predictor("street", device=torch.device("cpu"), threads=1)

    assert (made.engine.name, made.engine.device) == ("onnxruntime", "cpu")


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (None, TypeError, "the model is of type NoneType; expected the name of a built-in model"),
        (b"coco", TypeError, "the model is of type bytes"),
        ("c" * 5000, ValueError, "^c{200}: File name too long; expected a model"),
        (Path("coco"), ValueError, "coco does not exist; expected a model or run folder"),
    ],
)
def test_what_is_no_model_is_refused(tmp_path, monkeypatch, model, error, message):
    monkeypatch.chdir(tmp_path)

    with networks.shapes_unchecked(), pytest.raises(error, match=message):
        Predictor(model)


def test_a_result_has_the_name_of_an_opened_file(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(photo(8, 12)).save(path)
    made = predictor()

    with path.open("rb") as file, Image.open(path) as image:
        assert made(file).name == made(image).name == made(path).name == str(path)
    assert made(photo(8, 12)).name is made(io.BytesIO(path.read_bytes())).name is None


def test_a_predictor_describes_itself_in_a_line():
    text = "Predictor(3 thing and 3 stuff classes, 64x96, torch on cpu)"
    assert repr(predictor()) == text


@pytest.mark.parametrize("image", [np.zeros((0, 4, 3), np.uint8), np.zeros((4, 0, 3), np.uint8)])
def test_an_image_without_pixels_is_refused(image):
    with pytest.raises(ValueError, match="expected uint8 of height x width x 3"):
        predictor().panoptic(image)


def test_the_instances_of_an_image_are_its_detections_without_padding():
    made = predictor(replace(INSTANCE, proposals=ProposalConfig(max_proposals=3)))
    pixels = torch.from_numpy(photo(64, 96)).permute(2, 0, 1)[None] / 255

    instances = made.outputs(photo(64, 96)).instances

    with torch.inference_mode():
        found = made.engine.network(pixels).detections
    count = int(found.valid[0].sum())
    assert 0 < count < found.valid.shape[1]
    assert len(instances) == count
    for name in ("boxes", "labels", "scores", "masks"):
        expected = getattr(found, name)[0, :count].numpy()
        assert getattr(instances, name) == pytest.approx(expected, abs=1e-5)


def test_an_evaluation_can_select_other_detections_and_proposals():
    made = predictor(INSTANCE)
    limits = ProposalConfig(max_candidates=50, max_proposals=9)
    extras = Extras(detection=DetectionConfig(min_score=0.0, max_detections=2), proposals=limits)

    outputs = made.outputs(photo(64, 96), extras)

    assert len(outputs.ranked) == 2 < len(outputs.instances)
    assert np.array_equal(outputs.ranked.boxes[0], outputs.instances.boxes[0])
    assert len(outputs.ranked_proposals) == 9
    assert len(outputs.proposals) == networks.TINY.proposals.max_proposals
    assert made.outputs(photo(64, 96)).ranked is None


def test_the_semantic_labels_are_the_best_of_the_resized_logits():
    outputs = predictor().outputs(photo(64, 96))

    labels = semantic_labels(outputs, (50, 70))

    resized = torch.nn.functional.interpolate(
        torch.from_numpy(outputs.semantic)[None], (50, 70), mode="bilinear"
    )
    assert labels.shape == (50, 70)
    assert (labels == resized[0].argmax(0).numpy()).mean() > 0.999


def test_the_instance_branch_alone_has_no_semantic_labels():
    outputs = predictor(INSTANCE).outputs(photo(64, 96))

    with pytest.raises(ValueError, match="no semantic branch"):
        semantic_labels(outputs, (64, 96))


def test_two_networks_give_stuff_of_one_and_things_of_the_other():
    semantic = TorchEngine(saved(SEMANTIC, min_stuff_area=0.0))
    instance = TorchEngine(saved(INSTANCE))
    together = Predictor(semantic, instances_from=instance)
    extras = Extras(detection=DetectionConfig(min_score=0.0, max_detections=7))

    outputs = together.outputs(photo(50, 70), extras)

    expected = Predictor(instance).outputs(photo(50, 70), extras)
    logits = Predictor(semantic).outputs(photo(50, 70)).semantic
    assert np.array_equal(outputs.semantic, logits)
    assert np.array_equal(outputs.instances.boxes, expected.instances.boxes)
    assert len(outputs.ranked) == 7
    assert np.array_equal(outputs.ranked.boxes, expected.ranked.boxes)
    assert together.config == semantic.config
    assert together.engine.fingerprint() != semantic.fingerprint()


def test_two_networks_that_were_one_predict_what_it_does():
    joint = TorchEngine(saved(replace(networks.TINY, detection=INSTANCE.detection), min_score=0.0))

    together = Predictor(joint, instances_from=joint).panoptic(photo(50, 70))

    expected = Predictor(joint).panoptic(photo(50, 70))
    assert expected.segments
    assert np.array_equal(together.ids, expected.ids)


def test_two_networks_are_read_from_disk_with_the_same_options(tmp_path):
    write(saved(SEMANTIC), tmp_path / "semantic")
    write(saved(INSTANCE), tmp_path / "instance")

    together = Predictor(
        tmp_path / "semantic",
        instances_from=tmp_path / "instance",
        options=EngineOptions(threads=1),
        size=(32, 64),
    )

    assert together.config.size == (32, 64)
    assert together.panoptic(photo(50, 70)).size == (50, 70)


def test_networks_without_the_branch_that_is_needed_are_refused():
    semantic, instance = TorchEngine(saved(SEMANTIC)), TorchEngine(saved(INSTANCE))

    with pytest.raises(ValueError, match="the model has no semantic branch"):
        Predictor(instance, instances_from=instance)
    with pytest.raises(ValueError, match="to take instances from has no instance branch"):
        Predictor(semantic, instances_from=semantic)


def test_networks_of_different_input_sizes_are_refused():
    other = TorchEngine(saved(INSTANCE, size=(32, 32)))

    with pytest.raises(ValueError, match=r"sees images at 64x96, .* at 32x32; expected one size"):
        Predictor(TorchEngine(saved(SEMANTIC)), instances_from=other)


def test_networks_of_different_classes_are_refused():
    other = networks.numbered(3, 3)
    instance = SavedModel(saved(INSTANCE).config, other, networks.network(INSTANCE, other))

    with pytest.raises(ValueError, match="different classes"):
        Predictor(TorchEngine(saved(SEMANTIC)), instances_from=TorchEngine(instance))


def test_a_merge_takes_few_bytes_for_each_pixel():
    size = (1500, 2000)
    stuff = np.random.default_rng(0).random((3, 40, 40), np.float32)
    things = Instances(
        boxes=np.array([[0, 0, 384, 300]], np.float32),
        labels=np.array([0]),
        scores=np.array([0.9], np.float32),
        masks=np.full((1, 28, 28), 0.7, np.float32),
    )
    rules = MergeConfig(canvas="original", min_stuff_area=600_000.0)
    tracemalloc.start()
    try:
        merge(things, stuff, frame=(384, 384), size=size, stuff_labels=(1, 2), config=rules)
        assert tracemalloc.get_traced_memory()[1] < 10 * size[0] * size[1]
    finally:
        tracemalloc.stop()
