from dataclasses import replace

import numpy as np
import pytest

import toy_engine
from factories import CAR, CATEGORIES
from jsisnet.categories import Categories
from jsisnet.inference.engine import Extras, Outputs
from jsisnet.inference.merge import Instances
from jsisnet.inference.model_folder import PredictionConfig, SelectionConfig
from jsisnet.inference.predictor import Predictor
from jsisnet.inference.rules import MergeConfig
from jsisnet.inference.thresholds import DetectionConfig

SIZE = (40, 60)


class Bright:
    """A network that finds one car: the bright pixels of an image, with a score by its view.

    Its semantic branch sees brightness as a car, and the red of an image as sky.
    """

    name, device, batch_size = "bright", "cpu", 4
    predicts = frozenset(["semantic", "instances"])
    categories = CATEGORIES

    def __init__(self, scores, size=SIZE, max_detections=10):
        self.scores, self.calls = scores, 0
        detection = DetectionConfig(min_score=0.4, max_detections=max_detections)
        self.config = PredictionConfig(
            size=size,
            network=SelectionConfig(detection=detection),
            merge=MergeConfig(min_stuff_area=0.0, min_score=0.4),
        )

    def __call__(self, images, extras=None):
        return [self._outputs(image, extras) for image in images]

    def fingerprint(self):
        return "bright"

    def _outputs(self, image, extras):
        score = self.scores[self.calls % len(self.scores)]
        self.calls += 1
        logits = np.zeros((len(CATEGORIES), *image.shape[:2]), np.float32)
        logits[3] = image[..., 0] / 32
        lowest = (
            [0.4]
            if extras is None or extras.detection is None
            else [0.4, extras.detection.min_score]
        )
        found = [self._car(image[..., 1] > 128, score, low) for low in lowest]
        return Outputs(semantic=logits, instances=found[0], ranked=found[-1])

    def _car(self, bright, score, lowest):
        rows, columns = np.nonzero(bright)
        if not len(rows) or score < lowest:
            return Instances(
                boxes=np.zeros((0, 4), np.float32),
                labels=np.zeros(0, np.int64),
                scores=np.zeros(0, np.float32),
                masks=np.zeros((0, 8, 8), np.float32),
            )
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        return Instances(
            boxes=np.array([box], np.float32),
            labels=np.array([CAR]),
            scores=np.array([score], np.float32),
            masks=np.full((1, 8, 8), score, np.float32),
        )


def photo(rows, columns, size=SIZE):
    image = np.zeros((*size, 3), np.uint8)
    image[rows, columns, 1] = 255
    image[:, : size[1] // 3, 0] = 255
    return image


def things(image, scores, **options):
    network = Bright(scores, **options)
    outputs = Predictor(network, tta=True).outputs(image)
    assert network.calls == 6
    return outputs.instances


def test_a_thing_of_all_views_is_one_where_it_was():
    found = things(photo(slice(14, 26), slice(20, 40)), [0.8])

    assert found.labels.tolist() == [CAR]
    assert found.boxes[0] == pytest.approx([20, 14, 40, 26], abs=1)
    assert found.scores == pytest.approx([0.8])
    assert found.masks.shape == (1, 8, 8)
    assert found.masks[0, 4, 4] == pytest.approx(0.8, abs=1e-6)


def test_the_score_is_the_mean_of_the_views_that_show_the_thing_whole():
    middle, corner = photo(slice(14, 26), slice(20, 40)), photo(slice(2, 10), slice(3, 15))

    assert things(middle, [0.9, 0.9, 0, 0, 0.9, 0.9]).scores == pytest.approx([0.6])
    assert len(things(middle, [0.9, 0, 0, 0, 0, 0])) == 0  # a mean of 0.15 is not enough
    assert things(corner, [0.9, 0.6, 0.3, 0, 0, 0]).scores == pytest.approx([0.6])
    assert len(things(photo(slice(0, 0), slice(0, 0)), [0.9])) == 0


def test_parts_of_things_that_a_view_cuts_do_not_count():
    wide = photo(slice(14, 26), slice(2, 58))

    found = things(wide, [0.8, 0.8, 0.99, 0.99, 0.99, 0.99])

    assert found.boxes[0] == pytest.approx([2, 14, 58, 26], abs=1)
    assert found.scores == pytest.approx([0.8])


def test_the_mirror_image_is_turned_back():
    image = photo(slice(14, 26), slice(20, 40))
    network = Bright([0.8])
    plain, pooled = (Predictor(network, tta=tta).outputs(image).semantic for tta in (False, True))

    chances = np.exp(plain) / np.exp(plain).sum(0)
    assert np.exp(pooled) == pytest.approx(chances, abs=1e-5)
    assert np.array_equal(Predictor(network, tta=True)(image).panoptic.ids > 0, plain[0] > -1)


def test_photos_of_any_size_and_networks_of_any_size_are_pooled():
    image = photo(slice(28, 52), slice(40, 80), size=(80, 120))

    for size in (SIZE, None):
        result = Predictor(Bright([0.8], size=size), tta=True)(image)
        [car] = [segment for segment in result if segment.isthing]
        assert result.panoptic.size == (80, 120)
        assert np.array(car.box) == pytest.approx([40, 28, 80, 52], abs=3)


def test_average_precision_gets_pooled_things_too():
    network = Bright([0.3])
    image = photo(slice(14, 26), slice(20, 40))
    low = DetectionConfig(min_score=0.05, one_class_per_region=False)

    outputs = Predictor(network, tta=True).outputs(image, Extras(detection=low))

    assert len(outputs.instances) == 0
    assert outputs.ranked.scores == pytest.approx([0.3])
    assert network.calls == 12


def test_left_and_right_classes_are_exchanged_in_the_mirror_image():
    sides = {900: "left lane", 901: "right lane"}
    added = (replace(CATEGORIES[3], id=each, name=name) for each, name in sides.items())
    classes = Categories((*CATEGORIES, *added))

    class Sided(Bright):
        categories = classes

        def __call__(self, images, extras=None):
            logits = np.zeros((len(images), len(classes), *SIZE), np.float32)
            logits[:, -2, :, :30], logits[:, -1, :, 30:] = 9, 9  # left is left in any image
            return [
                replace(each, semantic=values)
                for each, values in zip(super().__call__(images, extras), logits, strict=True)
            ]

    pooled = Predictor(Sided([0.0]), tta=True).outputs(photo(slice(0, 0), slice(0, 0)))

    assert (pooled.semantic.argmax(0)[:, :30] == len(classes) - 2).all()
    assert (pooled.semantic.argmax(0)[:, 30:] == len(classes) - 1).all()
    assert np.exp(pooled.semantic).max() > 0.99


def test_engines_whose_outputs_cannot_be_pooled_are_refused():
    with pytest.raises(ValueError, match="which can't be pooled; leave tta out"):
        Predictor(toy_engine.Toy(), tta=True)
