"""What the branches predict, written and merged again by `merge_files`."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import factories
import networks
import toy_engine
from jsisnet.files.atomic import lock_folder
from jsisnet.formats import image_list
from jsisnet.formats.coco import read_annotations, read_png
from jsisnet.formats.dataset import DataConfig, PanopticDataset
from jsisnet.formats.predictions import SemanticFolder
from jsisnet.inference.batch import BatchConfig, predict_photos
from jsisnet.inference.branch_files import IMAGES
from jsisnet.inference.evaluator import evaluate
from jsisnet.inference.kirillov import KirillovConfig
from jsisnet.inference.merge_files import Predictions, merge_files
from jsisnet.inference.photo_files import find_photos
from jsisnet.inference.photo_job import OutputConfig
from jsisnet.inference.predictor import Predictor
from jsisnet.inference.rules import MergeConfig
from jsisnet.model.engine import TorchEngine
from jsisnet.model.saved_model import ModelConfig, SavedModel

RULES = MergeConfig(min_stuff_area=300.0, min_score=0.1, canvas="original")


def predicting(branches="joint", size=(48, 64)):
    network = networks.network(replace(networks.TINY, branches=branches))
    if network.instance is not None:
        network.instance.roi.classify.weight.data *= 100
    settings = ModelConfig(
        size=size, network=replace(networks.TINY, branches=branches), merge=RULES
    )
    return Predictor(TorchEngine(SavedModel(settings, factories.CATEGORIES, network)))


@pytest.fixture
def dataset(tiny):
    return PanopticDataset(DataConfig(images=str(tiny.images), annotations=str(tiny.annotations)))


def merged(raw, out, config):
    wanted = image_list.read(raw / IMAGES)
    semantic = SemanticFolder(folder=raw, categories=wanted.categories)
    merge_files(Predictions(wanted=wanted, instances=raw, semantic=semantic), config, out)
    file = read_annotations(out, predicted=True)
    return [(each.image_id, read_png(each, file.categories)) for each in file.annotations]


@pytest.mark.parametrize("config", [RULES, KirillovConfig(min_score=0.1, min_stuff_area=300.0)])
def test_merging_the_files_of_an_evaluation_gives_its_maps(dataset, tmp_path, config):
    predictor = predicting()

    evaluate(predictor, dataset, raw=tmp_path / "raw")

    maps = merged(tmp_path / "raw", tmp_path / "merged.json", config)
    assert [image_id for image_id, _ in maps] == [dataset[i].image_id for i in range(len(dataset))]
    things = 0
    for (_, panoptic), sample in zip(maps, (dataset[i] for i in range(len(dataset))), strict=True):
        expected = predictor.merge(predictor.outputs(sample.image), sample.panoptic.size, config)
        assert np.array_equal(panoptic.ids, expected.ids)
        assert [s.label for s in panoptic.segments] == [s.label for s in expected.segments]
        things += sum(segment.isthing for segment in panoptic.segments)
    assert things


def test_merging_the_files_of_a_prediction_gives_its_maps(tiny, tmp_path):
    photos = find_photos([str(tiny.images)]).photos
    outputs = OutputConfig(overlay=None, raw=tmp_path / "raw")

    predict_photos(photos, predicting(), tmp_path / "out", BatchConfig(outputs=outputs))

    file = tmp_path / "out" / "predictions.json"
    written = read_annotations(file, pngs=tmp_path / "out", predicted=True)
    maps = merged(tmp_path / "raw", tmp_path / "merged.json", RULES)
    assert len(maps) == len(photos) == 6
    for (image_id, panoptic), each in zip(maps, written.annotations, strict=True):
        assert image_id == each.image_id
        assert np.array_equal(panoptic.ids, read_png(each, written.categories).ids)


def test_a_resumed_prediction_lists_the_photos_of_both_runs(tiny, tmp_path, monkeypatch):
    photos = find_photos([str(tiny.images)]).photos
    monkeypatch.chdir(tmp_path)
    relative = BatchConfig(outputs=OutputConfig(overlay=None, raw=Path("raw")))
    predict_photos(photos[:2], predicting("semantic"), tmp_path / "out", relative)
    config = BatchConfig(outputs=OutputConfig(overlay=None, raw=tmp_path / "raw"))

    summary = predict_photos(photos, predicting("semantic"), tmp_path / "out", config)

    assert summary.earlier == 2
    listed = image_list.read(tmp_path / "raw" / IMAGES).images.values()
    assert [image.name for image in listed] == [photo.file_name for photo in photos]
    assert all((tmp_path / "raw" / image.name).with_suffix(".npz").is_file() for image in listed)


def test_the_branches_of_two_runs_are_not_mixed(tiny, tmp_path):
    photos = find_photos([str(tiny.images)]).photos
    config = BatchConfig(outputs=OutputConfig(overlay=None, raw=tmp_path / "raw"))
    predict_photos(photos[:2], predicting("semantic"), tmp_path / "a", config)
    whole = contents(tmp_path / "raw")

    predict_photos(photos[1:3], predicting("instance"), tmp_path / "b", config)

    written = {photo.file_name.replace(".jpg", ".npz") for photo in photos[1:3]}
    assert {Path(name).stem for name in contents(tmp_path / "raw") if name.endswith("npz")} == {
        Path(name).stem for name in written
    }
    again = predict_photos(photos[:2], predicting("semantic"), tmp_path / "a", config)
    assert (again.segmented, again.earlier) == (2, 0)
    assert contents(tmp_path / "raw") == whole


def test_the_folder_of_the_branches_has_one_writer(dataset, tiny, tmp_path):
    photos = find_photos([str(tiny.images)]).photos
    config = BatchConfig(outputs=OutputConfig(overlay=None, raw=tmp_path / "raw"))

    with lock_folder(tmp_path / "raw"):
        for write in (
            lambda: predict_photos(photos, predicting(), tmp_path / "out", config),
            lambda: evaluate(predicting(), dataset, raw=tmp_path / "raw"),
        ):
            with pytest.raises(ValueError, match="raw: another command is writing to it"):
                write()

    assert not (tmp_path / "out").exists()


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("branches", "arrays"),
    [("semantic", {"logits"}), ("instance", {"boxes", "category_ids", "scores", "masks"})],
)
def test_a_single_network_writes_its_branch(dataset, tmp_path, branches, arrays):
    evaluate(predicting(branches), dataset, raw=tmp_path)

    file = (tmp_path / dataset.image_name(0)).with_suffix(".npz")
    assert set(np.load(file)) == arrays


def test_boxes_are_in_pixels_of_the_photo(dataset, tmp_path):
    predictor = predicting(size=(32, 192))
    evaluate(predictor, dataset, raw=tmp_path)

    sample = dataset[0]
    found = np.load((tmp_path / dataset.image_name(0)).with_suffix(".npz"))
    own = predictor.outputs(sample.image).instances.boxes
    height, width = sample.panoptic.size
    assert len(own)
    assert np.allclose(found["boxes"], own * np.tile([width / 192, height / 32], 2))


def test_a_network_without_branches_is_refused(dataset, tiny, tmp_path):
    predictor = Predictor(toy_engine.Toy())
    config = BatchConfig(outputs=OutputConfig(raw=tmp_path / "raw"))

    with pytest.raises(ValueError, match="toy predicts panoptic maps at once"):
        evaluate(predictor, dataset, raw=tmp_path / "raw")
    with pytest.raises(ValueError, match="toy predicts panoptic maps at once"):
        predict_photos(find_photos([str(tiny.images)]).photos, predictor, tmp_path / "out", config)
    assert not (tmp_path / "raw").exists()


def test_several_processes_do_not_write_the_branches(dataset, tmp_path):
    with pytest.raises(ValueError, match="2 processes; use one, or omit `raw`"):
        evaluate(predicting(), dataset, raw=tmp_path, share=(0, 2))
