from dataclasses import replace

import pytest
from PIL import Image

import networks
from factories import CATEGORIES
from jsisnet.datatools import submission
from jsisnet.files.stamps import stamp
from jsisnet.formats import image_list
from jsisnet.inference import submitter
from jsisnet.inference.predictor import Predictor
from jsisnet.inference.rules import MergeConfig
from jsisnet.model.engine import TorchEngine
from jsisnet.model.saved_model import ModelConfig, SavedModel


def predictor(*, seed=0, **merge):
    config = ModelConfig(size=(64, 96), network=networks.TINY, merge=MergeConfig(**merge))
    return Predictor(TorchEngine(SavedModel(config, CATEGORIES, networks.network(seed=seed))))


@pytest.fixture
def wanted(tiny):
    return image_list.read(tiny.annotations)


def segment(tiny, wanted, folder):
    """Segment the streets; return the messages and the names of the maps."""
    progress, failures = [], []
    photos = submitter.find_photos(tiny.images, wanted)
    stamps = {number: stamp(photo) for number, photo in photos.items()}
    with submission.open_map_folder(folder, "test", stamps) as maps:
        submitter.segment(
            predictor(),
            wanted,
            photos,
            maps,
            on_image=lambda *numbers: progress.append(numbers),
            on_failure=failures.append,
        )
        return progress, failures, [annotation.image_id for annotation in maps]


def test_every_image_gets_a_map_in_the_order_of_the_list(tiny, wanted, tmp_path):
    progress, failures, done = segment(tiny, wanted, tmp_path / "maps")

    assert progress == [(number, 6) for number in range(7)]
    assert failures == []
    assert done == list(wanted.images)


def test_finished_images_are_not_segmented_again(tiny, wanted, tmp_path):
    segment(tiny, wanted, tmp_path / "maps")

    progress, failures, done = segment(tiny, wanted, tmp_path / "maps")

    assert progress == [(6, 6)]
    assert failures == []
    assert done == list(wanted.images)


def test_an_unusable_image_is_reported_and_the_others_continue(tiny, wanted, tmp_path):
    (tiny.images / "street0.jpg").write_text("no photo")
    Image.new("RGB", (5, 4)).save(tiny.images / "street1.png")

    progress, failures, done = segment(tiny, wanted, tmp_path / "maps")

    assert progress[-1] == (4, 6)
    assert done == list(wanted.images)[2:]
    assert failures[0].startswith(f"{tiny.images / 'street0.jpg'}: can't be read as an image")
    assert failures[1].endswith("street1.png: size is 4x5; expected 64x96 as in the list")


def test_missing_images_are_reported_before_any_is_segmented(tiny, wanted, tmp_path):
    for name in ("street4.png", "street5.jpeg"):
        (tiny.images / name).unlink()

    with pytest.raises(ValueError, match=r"street4.png: file not found; 1 other image is missing"):
        segment(tiny, wanted, tmp_path / "maps")

    assert not list((tmp_path / "maps" / submission.PNGS).iterdir())


def test_the_fingerprint_depends_on_model_settings_and_list(wanted):
    first = submitter.fingerprint(predictor(), wanted)
    fewer = replace(wanted, images=dict(list(wanted.images.items())[:5]))
    others = {
        submitter.fingerprint(predictor(seed=1), wanted),
        submitter.fingerprint(predictor(min_score=0.9), wanted),
        submitter.fingerprint(predictor(), fewer),
    }

    assert submitter.fingerprint(predictor(), wanted) == first
    assert len(others | {first}) == 4
