import pickle
import subprocess
import sys
from functools import reduce
from operator import add

import numpy as np
import pytest
import torch
from torchmetrics.detection import PanopticQuality as TheirPanopticQuality

from factories import CAR, CATEGORIES, PERSON, ROAD, SKY, panoptic_map, segment, tiny_map
from jsisnet.evaluation.metric import PanopticQualityMetric
from jsisnet.evaluation.panoptic_quality import count_matches

THINGS, STUFFS = {3, 1, 900}, {92, 7}
"""Categories, whose order is 1, 3, 900, 7, 92."""


def pixels(*rows):
    """Return a batch of one image: category and instance of each pixel."""
    return torch.tensor([rows])


def blobs(random, categories, count=8, size=(24, 32)):
    """Return an image of random regions."""
    points = random.uniform(0, 1, (count, 2)) * size
    grid = np.stack(np.mgrid[: size[0], : size[1]], axis=-1)
    nearest = np.linalg.norm(grid[:, :, None] - points, axis=-1).argmin(-1)
    described = np.stack([random.choice(categories, count), random.integers(0, 5, count)], axis=1)
    return torch.from_numpy(described[nearest])


def batch(seed, categories, images=6):
    """Return a random truth, and predictions that are partly right."""
    random = np.random.default_rng(seed)
    target = torch.stack([blobs(random, categories) for _ in range(images)])
    preds = target.roll((1, 2), (1, 2))
    wrong = torch.stack([blobs(random, categories) for _ in range(images)])
    return torch.where(
        torch.from_numpy(random.random((images, 24, 1, 1)) < 0.8), preds, wrong
    ), target


def states(metric):
    return [getattr(metric, name).tolist() for name in ("iou", "tp", "fp", "fn")]


def values(metric):
    return {name: value.tolist() for name, value in metric.compute().items()}


def test_qualities_are_means_over_the_classes_seen():
    metric = PanopticQualityMetric(THINGS, STUFFS, per_class=True)

    metric.update(
        pixels([3, 1], [3, 1], [3, 1], [92, 0], [92, 5]),
        pixels([3, 8], [3, 8], [3, 8], [3, 8], [92, 1]),
    )

    assert metric.categories == (1, 3, 900, 7, 92)
    found = values(metric)
    assert found["pq_per_class"] == pytest.approx([np.nan, 0.75, np.nan, np.nan, 0], nan_ok=True)
    assert found["sq_per_class"][1] == found["sq_things"] == 0.75
    assert (found["pq"], found["pq_things"], found["pq_stuff"]) == (0.375, 0.75, 0)
    assert (found["rq"], found["rq_things"], found["rq_stuff"]) == (0.5, 1, 0)


def test_without_images_there_is_no_value():
    metric = PanopticQualityMetric(THINGS, STUFFS)
    metric.update(
        torch.zeros(0, 4, 4, 2, dtype=torch.int64), torch.zeros(0, 4, 4, 2, dtype=torch.int64)
    )
    metric.update(
        torch.zeros(1, 0, 4, 2, dtype=torch.int64), torch.zeros(1, 0, 4, 2, dtype=torch.int64)
    )

    assert np.isnan(list(values(metric).values())).all()


@pytest.mark.parametrize("seed", range(10))
def test_without_void_it_equals_the_metric_of_torchmetrics(seed):
    ours = PanopticQualityMetric(THINGS, STUFFS, per_class=True)
    theirs = TheirPanopticQuality(THINGS, STUFFS, return_sq_and_rq=True)
    each = TheirPanopticQuality(THINGS, STUFFS, return_per_class=True)

    for part in range(2):
        preds, target = batch(10 * seed + part, [1, 3, 900, 7, 92])
        for metric in (ours, theirs, each):
            metric.update(preds, target)

    found = values(ours)
    assert [found[name] for name in ("pq", "sq", "rq")] == pytest.approx(theirs.compute().tolist())
    assert np.nan_to_num(found["pq_per_class"]) == pytest.approx(each.compute()[0].tolist())
    assert ours.tp.tolist() == theirs.true_positives.tolist()
    assert ours.fn.sum() > 0
    assert ours.fp.tolist() == theirs.false_positives.tolist()


def test_a_segment_that_is_predicted_void_is_a_false_negative():
    metric = PanopticQualityMetric({1}, {7}, allow_unknown_preds_category=True)

    metric.update(pixels([0, 0], [0, 0], [0, 0], [7, 0]), pixels([1, 0], [1, 0], [7, 0], [7, 0]))

    assert metric.fn.tolist() == [1, 1]
    assert metric.fp.tolist() == [0, 1]


def test_true_void_is_left_out():
    metric = PanopticQualityMetric({1}, {7})

    metric.update(pixels([1, 0], [1, 0], [1, 0], [7, 0]), pixels([1, 0], [5, 0], [5, 1], [6, 2]))

    assert states(metric) == [[1, 0], [1, 0], [0, 0], [0, 0]]


def test_a_crowd_is_no_false_negative_and_predictions_on_it_are_ignored():
    metric = PanopticQualityMetric({1}, {7})
    preds, target = pixels([1, 0], [1, 0], [1, 1]), pixels([1, 0], [1, 0], [1, 0])

    metric.update(preds, target, torch.tensor([[False, False, True]]))

    assert states(metric) == [[1, 0], [1, 0], [0, 0], [0, 0]]


@pytest.mark.parametrize(("all_crowds", "spurious"), [(False, 1), (True, 0)])
def test_only_predictions_on_the_last_of_several_crowds_are_ignored(all_crowds, spurious):
    metric = PanopticQualityMetric({1}, {7}, all_crowds=all_crowds)

    metric.update(pixels([1, 0], [1, 1]), pixels([1, 8], [1, 4]), torch.tensor([[True, True]]))

    assert metric.fp.tolist() == [spurious, 0]


def test_maps_count_as_in_count_matches():
    truths = [tiny_map(index) for index in range(6)]
    predictions = [truths[0], *truths[:-1]]
    labels = CATEGORIES.thing_labels, CATEGORIES.stuff_labels
    metric = PanopticQualityMetric(*labels)

    metric.update(predictions[:4], truths[:4])
    metric.update(predictions[4:], truths[4:])

    counted = [count_matches(true, map_, 6) for true, map_ in zip(truths, predictions, strict=True)]
    expected = reduce(add, counted)
    assert states(metric) == [
        each.tolist() for each in (expected.iou, expected.tp, expected.fp, expected.fn)
    ]
    assert metric.fp.sum() > 0


def test_tensors_count_as_the_same_maps():
    truths, predictions = [tiny_map(2), tiny_map(4)], [tiny_map(3), tiny_map(1)]
    of_maps, of_pixels = (
        PanopticQualityMetric(CATEGORIES.thing_labels, CATEGORIES.stuff_labels) for _ in range(2)
    )

    def described(maps):
        labels = [torch.from_numpy(each.labels()) for each in maps]
        ids = [torch.from_numpy(each.ids) for each in maps]
        return torch.stack([torch.stack(pair, -1) for pair in zip(labels, ids, strict=True)])

    crowd = torch.stack([torch.from_numpy(each.ids == 5) for each in truths])
    crowd[1] = False
    assert truths[0].segments[4].iscrowd
    of_maps.update(predictions, truths)
    of_pixels.update(described(predictions), described(truths), crowd)

    assert states(of_pixels) == states(of_maps)


def test_segments_of_other_classes_are_void():
    truth = panoptic_map([[1, 2, 2, 3]], segment(CAR), segment(ROAD), segment(SKY))
    prediction = panoptic_map([[1, 1, 1, 2]], segment(CAR), segment(SKY))
    metric = PanopticQualityMetric({CAR, PERSON}, {SKY})

    metric.update([prediction], [truth])

    assert metric.categories == (PERSON, CAR, SKY)
    assert states(metric) == [[0, 1, 1], [0, 1, 1], [0, 0, 0], [0, 0, 0]]


def test_merged_states_are_those_of_all_images():
    whole, first, second = (PanopticQualityMetric(THINGS, STUFFS) for _ in range(3))
    for metric, seeds in ((whole, (1, 2)), (first, (1,)), (second, (2,))):
        for seed in seeds:
            metric.update(*batch(seed, [1, 3, 900, 7, 92]))

    first.merge_state(second)

    assert states(first) == states(whole)


def test_forward_returns_the_value_of_the_batch():
    metric = PanopticQualityMetric(THINGS, STUFFS)
    preds, target = batch(1, [1, 3, 900, 7, 92])

    metric(target, target)
    value = metric(preds, target)["pq"]

    assert 0 < value < metric.compute()["pq"] < 1
    metric.reset()
    assert metric.tp.sum() == 0


def test_a_pickled_metric_continues():
    metric = PanopticQualityMetric(THINGS, STUFFS)
    metric.update(*batch(1, [1, 3, 900, 7, 92]))

    copy = pickle.loads(pickle.dumps(metric))
    for each in (metric, copy):
        each.update(*batch(2, [1, 3, 900, 7, 92]))

    assert states(copy) == states(metric)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((pixels([5, 0]), pixels([1, 0])), "the predicted category 5 is unknown"),
        ((pixels([1, 0], [1, 0]), pixels([1, 0])), r"preds are \(1, 2, 2\) and target \(1, 1, 2\)"),
        ((torch.ones(3, 2), torch.ones(3, 2)), r"expected \(b, ..., 2\) both"),
        ((pixels([1.0, 0.0]), pixels([1.0, 0.0])), "torch.float32; expected integers"),
        ((pixels([1, 0]), [tiny_map(0)]), "preds and target differ in kind"),
        (([tiny_map(0)], []), "1 predictions for 0 images"),
        ((pixels([1, 0]), pixels([1, 0]), torch.zeros(3)), r"crowds are \(3,\); expected \(1, 1\)"),
    ],
)
def test_invalid_input_is_rejected(arguments, message):
    metric = PanopticQualityMetric({1}, {7})

    with pytest.raises(ValueError, match=message):
        metric.update(*arguments)


@pytest.mark.parametrize(
    ("things", "stuffs", "message"),
    [({1, 2}, {2}, "category 2 is in both"), ((), (), "there is no category")],
)
def test_categories_are_things_or_stuff(things, stuffs, message):
    with pytest.raises(ValueError, match=message):
        PanopticQualityMetric(things, stuffs)


PROCESS = """
import sys, torch
from jsisnet.evaluation.metric import PanopticQualityMetric
rank, meeting, batches, out = int(sys.argv[1]), *sys.argv[2:]
torch.distributed.init_process_group("gloo", f"file://{meeting}", rank=rank, world_size=2)
metric = PanopticQualityMetric({3, 1, 900}, {92, 7}, per_class=True)
for preds, target in torch.load(batches)[rank::2]:
    metric.update(preds, target)
torch.save(metric.compute(), f"{out}{rank}")
torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_compute_the_values_of_one(tmp_path):
    batches = [batch(seed, [1, 3, 900, 7, 92], images=2) for seed in range(3)]
    torch.save(batches, tmp_path / "batches")
    names = [str(tmp_path / name) for name in ("meeting", "batches", "out")]

    running = [
        subprocess.Popen([sys.executable, "-c", PROCESS, str(rank), *names]) for rank in range(2)
    ]
    codes = [process.wait(timeout=120) for process in running]

    alone = PanopticQualityMetric(THINGS, STUFFS, per_class=True)
    for preds, target in batches:
        alone.update(preds, target)
    assert codes == [0, 0]
    for rank in range(2):
        together = torch.load(tmp_path / f"out{rank}")
        torch.testing.assert_close(together, alone.compute(), rtol=0, atol=0, equal_nan=True)


def test_input_that_is_neither_tensors_nor_maps_is_rejected():
    # In its own process, without the checks of types.
    program = (
        "from jsisnet import PanopticQualityMetric\n"
        "try: PanopticQualityMetric({1}, {7}).update([1], [2])\n"
        "except ValueError as error: print(error)"
    )

    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout

    assert b"must be tensors or maps" in said
