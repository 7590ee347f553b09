import numpy as np
import pytest

from jsisnet.datatools.stratify import stratify


def parts_of(classes, sizes, *, images=None, seed=0):
    """Split rows of classes; every row is one image unless `images` says otherwise."""
    classes = np.array(classes, np.int32)
    images = np.ones(len(classes), np.int64) if images is None else np.array(images)
    return stratify(classes, images, np.array(sizes), seed).tolist()


def test_every_part_gets_its_number_of_images():
    parts = parts_of([[1, 0], [1, 1], [0, 0], [0, 1], [1, 0]], [3, 2])

    assert sorted(parts) == [0, 0, 0, 1, 1]


def test_a_rare_class_is_dealt_out_before_a_frequent_one_fills_the_parts():
    everywhere = [[1, 0]] * 8
    rare = [[1, 1]] * 2

    parts = parts_of(everywhere + rare, [5, 5])

    assert sorted(parts[8:]) == [0, 1]


def test_images_without_a_class_fill_what_is_left():
    assert sorted(parts_of([[0], [0], [0]], [2, 1])) == [0, 0, 1]


def test_there_may_be_no_classes_at_all():
    assert sorted(parts_of(np.zeros((4, 0)), [1, 3])) == [0, 1, 1, 1]


def test_the_seed_decides_and_nothing_else():
    classes = np.random.default_rng(5).integers(0, 2, (40, 6))

    runs = [parts_of(classes, [20, 20], seed=seed) for seed in (1, 1, 2)]

    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_units_of_several_images_fill_the_parts_as_well_as_they_can():
    parts = parts_of([[2], [3], [3], [2]], [5, 5], images=[2, 3, 3, 2])

    assert sorted(zip(parts, [2, 3, 3, 2], strict=True)) == [(0, 2), (0, 3), (1, 2), (1, 3)]


def test_no_part_stays_empty_while_there_are_enough_units():
    assert sorted(parts_of([[5], [5]], [9, 1], images=[5, 5])) == [0, 1]


@pytest.mark.parametrize("seed", range(3))
def test_classes_are_better_balanced_than_by_chance(seed):
    rng = np.random.default_rng(seed)
    frequencies = 0.5 / np.arange(1, 21)
    classes = (rng.random((400, 20)) < frequencies).astype(np.int32)

    def error(parts):
        share = np.array([classes[np.array(parts) == 1].sum(0)]) / classes.sum(0)
        return abs(share - 0.25).max()

    by_chance = error(rng.permutation([0] * 300 + [1] * 100))
    assert error(parts_of(classes, [300, 100], seed=seed)) < by_chance / 2
