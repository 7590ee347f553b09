from dataclasses import replace

import pytest
from PIL import Image

import networks
from factories import CATEGORIES
from jsisnet.datatools import submission
from jsisnet.formats import image_list
from jsisnet.inference import submitter
from jsisnet.inference.predictor import Predictor
from jsisnet.inference.rules import MergeConfig
from jsisnet.inference.saved_model import ModelConfig, SavedModel


def predictor(*, seed=0, **merge):
    config = ModelConfig(size=(64, 96), network=networks.TINY, merge=MergeConfig(**merge))
    return Predictor(SavedModel(config, CATEGORIES, networks.network(seed=seed)))


@pytest.fixture
def wanted(tiny):
    return image_list.read(tiny.annotations)


def segment(tiny, wanted, folder):
    """Segment the streets, and give what was told and which maps there are."""
    progress, failures = [], []
    with submission.open_map_folder(folder, "test") as maps:
        submitter.segment(
            predictor(),
            wanted,
            tiny.images,
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


def test_what_is_done_is_not_done_again(tiny, wanted, tmp_path):
    segment(tiny, wanted, tmp_path / "maps")

    progress, failures, done = segment(tiny, wanted, tmp_path / "maps")

    assert progress == [(6, 6)]
    assert failures == []
    assert done == list(wanted.images)


def test_a_photo_that_can_not_be_used_is_told_and_the_others_go_on(tiny, wanted, tmp_path):
    (tiny.images / "street0.jpg").write_text("no photo")
    Image.new("RGB", (5, 4)).save(tiny.images / "street1.png")

    progress, failures, done = segment(tiny, wanted, tmp_path / "maps")

    assert progress[-1] == (4, 6)
    assert done == list(wanted.images)[2:]
    assert failures[0].startswith(f"{tiny.images / 'street0.jpg'}: can't be read as a picture")
    assert failures[1].endswith("street1.png: is 4x5 pixels, but the list says 64x96")


def test_missing_photos_are_told_before_anything_is_done(tiny, wanted, tmp_path):
    for name in ("street4.png", "street5.jpeg"):
        (tiny.images / name).unlink()

    with pytest.raises(ValueError, match=r"street4.png: does not exist, nor does 1 more photo"):
        segment(tiny, wanted, tmp_path / "maps")

    with submission.open_map_folder(tmp_path / "maps", "test") as maps:
        assert maps.done == set()


def test_a_purpose_is_one_model_with_its_settings_and_one_list(wanted):
    first = submitter.purpose(predictor(), wanted)
    fewer = replace(wanted, images=dict(list(wanted.images.items())[:5]))
    others = {
        submitter.purpose(predictor(seed=1), wanted),
        submitter.purpose(predictor(min_score=0.9), wanted),
        submitter.purpose(predictor(), fewer),
    }

    assert submitter.purpose(predictor(), wanted) == first
    assert len(others | {first}) == 4
