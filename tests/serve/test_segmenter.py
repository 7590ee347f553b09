import json
from threading import Thread

import numpy as np
import pytest

from jsisnet.inference.predictor import Predictor
from jsisnet.serve.jobs import Answer, Refusal, Task, Wishes
from jsisnet.serve.segmenter import Segmenter
from toy_engine import Toy
from toy_work import GREY, png

SHAPES = np.zeros((120, 160, 3), np.uint8)
SHAPES[60:], SHAPES[30:80, 40:90], SHAPES[20:60, 100:150] = 90, (200, 30, 30), (30, 30, 220)


def segmented(segmenter, content, **wishes):
    answer = segmenter(Task(content=content, model="m", wishes=Wishes(**wishes)))
    assert isinstance(answer, Answer), answer
    return json.loads(answer.body)["segments"]


@pytest.mark.parametrize("min_score", [0.05, 0.5, 0.9])
def test_a_score_for_one_photo_equals_a_model_loaded_with_it(min_score):
    photo = png(SHAPES)
    own = Predictor("coco", threads=1, class_min_scores={"person": 1.0})
    other = Predictor("coco", threads=1, min_score=min_score)

    found = segmented(Segmenter(own, 10**6), photo, min_score=min_score)

    expected = [(each.name, each.area) for each in other(photo)]
    assert [(each["name"], each["area"]) for each in found] == expected
    assert min_score > 0.05 or len(found) > len(own(photo))
    assert all(each.name != "person" for each in own(photo))


def test_on_a_gpu_the_photos_of_several_threads_are_run_in_batches():
    sizes = []

    class Batched(Toy):
        device, batch_size = "cuda", 2

        def __call__(self, images, extras=None):
            sizes.append(len(images))
            return super().__call__(images, extras)

    segmenter = Segmenter(Predictor(Batched(0.05)), 10**6)
    threads = [Thread(target=segmented, args=(segmenter, GREY)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert segmenter.describe().lanes == 4
    assert sum(sizes) == 6
    assert max(sizes) == 2


def test_a_bug_is_told_to_the_log_and_not_to_the_client():
    class Broken(Toy):
        def __call__(self, *_):
            raise KeyError("secret")

    refusal = Segmenter(Predictor(Broken()), 10**6)(Task(content=GREY, model="m"))

    assert isinstance(refusal, Refusal)
    assert refusal.status == 500
    assert "secret" not in refusal.detail
    assert "secret" in refusal.cause
