import json
import random

import pytest

import factories
from factories import quality
from jsisnet.evaluation.compare import compare_results
from jsisnet.evaluation.results import read_result

FIRST = {number: quality(car=(0.6, 1, 0, 1), sky=(0.5, 1, 0, 0)) for number in range(1, 9)}
SECOND = {number: quality(car=(1.6, 2, 0, 0), sky=(0.5, 1, 0, 0)) for number in range(1, 9)}
"""Eight images: A finds one of two cars, with an IoU of 0.6, B also the other, with 1."""


@pytest.fixture
def read(tmp_path):
    """Read results through their files."""
    names = iter("abcd")

    def written(*args, **options):
        path = tmp_path / f"{next(names)}.json"
        return read_result(factories.write_result(path, *args, **options))

    return written


def classes(summary):
    return {row["name"]: row for row in summary["classes"]}


def test_differences_are_those_of_b_to_a(read):
    summary = compare_results(read(FIRST), read(SECOND)).summary()

    car = classes(summary)["car"]
    assert car["images"] == 8
    assert car["pq"] == pytest.approx(
        {"a": 40, "b": 80, "difference": 40, "low": 40, "high": 40, "better": 100, "clear": True}
    )
    assert summary["all"]["pq"]["difference"] == pytest.approx(20)
    assert summary["things"]["rq"] | {"clear": None} == pytest.approx(
        {"a": 200 / 3, "b": 100, "difference": 100 / 3, "low": 100 / 3, "high": 100 / 3}
        | {"better": 100, "clear": None}
    )
    assert summary["stuff"]["pq"]["difference"] == 0
    assert not summary["stuff"]["pq"]["clear"]


def test_swapped_results_have_the_opposite_difference(read):
    images = {number: quality(car=(number / 10, 1, number % 3, 0)) for number in range(10)}
    others = {number: quality(car=(0.7, 1, number % 2, 0)) for number in range(10)}
    first, second = read(images), read(others)

    forth = compare_results(first, second).summary()["all"]["pq"]
    back = compare_results(second, first).summary()["all"]["pq"]

    assert back["difference"] == -forth["difference"]
    assert (back["low"], back["high"]) == pytest.approx((-forth["high"], -forth["low"]))


def test_the_most_different_class_comes_first_and_those_without_a_difference_last(read):
    first = FIRST | {9: quality(bus=(0.0, 0, 1, 0), road=(0.0, 0, 0, 3))}
    second = SECOND | {9: quality(road=(0.5, 1, 0, 2))}

    rows = compare_results(read(first), read(second)).summary()["classes"]

    assert [row["name"] for row in rows] == ["car", "road", "sky", "person", "bus", "tree"]
    assert rows[3]["pq"]["a"] is None
    assert (rows[4]["pq"]["a"], rows[4]["pq"]["b"], rows[4]["pq"]["difference"]) == (0, None, None)
    assert rows[1]["pq"]["low"] is None
    assert not rows[1]["pq"]["clear"]


def test_a_difference_whose_interval_contains_0_is_not_clear(read):
    images = {number: quality(car=(0.5 + 0.1 * (number % 2), 1, 0, 0)) for number in range(8)}
    others = {number: quality(car=(0.6 - 0.1 * (number % 2), 1, 0, 0)) for number in range(8)}

    pq = compare_results(read(images), read(others)).summary()["all"]["pq"]

    assert pq["low"] < 0 < pq["high"]
    assert not pq["clear"]


def test_the_images_that_changed_most_come_first(read):
    images = {name: quality(car=(0.5, 1, 0, 0)) for name in "xyz"} | {"empty": quality()}
    others = images | {"y": quality(car=(0.9, 1, 0, 0)), "z": quality(car=(0.4, 1, 0, 0))}

    rows = compare_results(read(images), read(others)).summary()["images"]

    assert [row["image_id"] for row in rows] == ["y", "z", "x", "empty"]
    assert rows[0] == pytest.approx({"image_id": "y", "a": 50, "b": 90, "difference": 40})
    assert rows[3] == {"image_id": "empty", "a": None, "b": None, "difference": None}


def test_the_order_of_images_and_classes_is_irrelevant(read, tmp_path):
    images = {number: quality(car=(number / 20, 1, 0, 0)) for number in range(20)}
    others = {number: quality(car=(0.7, 1, number % 4, 0)) for number in range(20)}
    shuffled = dict(random.Random(0).sample(list(others.items()), 20))
    values = factories.result(shuffled)
    values["classes"].reverse()
    (tmp_path / "shuffled.json").write_text(json.dumps(values))

    summary = compare_results(read(images), read(others)).summary()
    same = compare_results(read(images), read_result(tmp_path / "shuffled.json")).summary()

    apart = {"a": None, "b": None}
    assert same | apart == summary | apart


def test_a_summary_is_plain_json(read):
    summary = compare_results(read(FIRST), read(FIRST)).summary()

    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert (summary["all"]["pq"]["low"], summary["all"]["pq"]["high"]) == (0, 0)


def test_figures_that_both_have_are_compared(read):
    summary = compare_results(
        read(FIRST, miou=20.0, mask_ap=3.0), read(SECOND, miou=25.5, box_ap=4.0)
    ).summary()

    assert summary["figures"] == {"miou": {"a": 20.0, "b": 25.5, "difference": 5.5}}


def test_the_comparison_can_be_restricted_to_common_images(read):
    first = FIRST | {"a": quality(car=(0.0, 0, 9, 0))}
    second = SECOND | {"b": quality(car=(0.0, 0, 9, 0))}

    summary = compare_results(read(first, miou=1.0), read(second, miou=2.0), common=True).summary()

    assert len(summary["images"]) == 8
    assert classes(summary)["car"]["pq"]["difference"] == pytest.approx(40)
    assert summary["figures"] == {}


def test_results_on_other_images_are_rejected(read):
    first, second = read(FIRST | {10: quality()}), read(SECOND | {"b": quality()})

    with pytest.raises(ValueError, match=r"b\.json: .*\(in one file only: 2, such as 10 in .*a\."):
        compare_results(first, second)


def test_results_without_a_common_image_are_rejected(read):
    with pytest.raises(ValueError, match=r"b\.json: no image in common with .*a\.json"):
        compare_results(read(FIRST), read({"x": quality()}), common=True)


def test_results_of_another_mode_are_rejected(read):
    first = read(FIRST)

    assert compare_results(first, read(SECOND, mode="strict")).samples == 1000
    with pytest.raises(ValueError, match=r"c\.json: the mode is 'all-crowds', but that of .*a"):
        compare_results(first, read(SECOND, mode="all-crowds"))


def test_results_with_other_classes_are_rejected(read, tmp_path):
    values = factories.result(FIRST)
    values["classes"][5]["name"] = "bush"
    values["classes"][0]["isthing"] = False
    (tmp_path / "bush.json").write_text(json.dumps(values))
    first, second = read(FIRST), read_result(tmp_path / "bush.json")

    with pytest.raises(ValueError, match=r"bush\.json: no thing class 'person', which .*a\.json"):
        compare_results(first, second)
    with pytest.raises(ValueError, match=r"a\.json: no stuff class 'person'"):
        compare_results(second, first)


def test_results_on_other_ground_truth_are_rejected(read):
    other = FIRST | {3: quality(car=(0.6, 1, 0, 3), sky=(0.5, 1, 0, 0))}

    with pytest.raises(ValueError, match=r"b\.json: image 3: 4 true segments of 'car', but 2"):
        compare_results(read(FIRST), read(other))
