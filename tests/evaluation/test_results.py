import json

import pytest

import factories
from factories import CAR, SKY
from jsisnet.evaluation.results import read_result

TWO = {
    7: factories.quality(car=(0.75, 1, 0, 2), sky=(0.0, 0, 1, 0)),
    "b": factories.quality(car=(1.0, 1, 1, 0)),
}


def change(values, place, value):
    """Replace one entry of a JSON file, or remove it if there is no value."""
    *path, last = place
    for key in path:
        values = values[key]
    if value is ...:
        del values[last]
    else:
        values[last] = value


def test_the_sums_of_each_image_are_read_back(tmp_path):
    path = factories.write_result(tmp_path / "a.json", TWO, miou=12.5, box_ap=None)

    result = read_result(path)

    assert result.mode == "official"
    assert list(result.classes.items())[1:4] == [("car", True), ("bus", True), ("sky", False)]
    assert result.image_ids == (7, "b")
    assert result.sums[:, :, CAR].tolist() == [[0.75, 1, 0, 2], [1, 1, 1, 0]]
    assert result.sums[:, :, SKY].tolist() == [[0, 0, 1, 0], [0, 0, 0, 0]]
    assert result.figures == {"miou": 12.5}


def test_integer_ids_come_before_strings_and_both_ascend(tmp_path):
    images = dict.fromkeys(["b", 10, "a", 9], factories.quality())
    path = factories.write_result(tmp_path / "a.json", images)

    assert read_result(path).image_ids == (9, 10, "a", "b")


@pytest.mark.parametrize(("pq", "figures"), [(3.5, {"boundary_pq": 3.5}), (None, {})])
def test_boundary_pq_is_a_figure(tmp_path, pq, figures):
    path = factories.write_result(tmp_path / "a.json", TWO, boundary={"all": {"pq": pq}})

    assert read_result(path).figures == figures


def test_a_result_of_no_image_is_read(tmp_path):
    result = read_result(factories.write_result(tmp_path / "a.json", {}))

    assert result.sums.shape == (0, 4, 6)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (["mode"], ..., "missing 'mode'"),
        (["images"], ..., "missing 'images'"),
        (["images"], {}, "'images' is {}; expected a list"),
        (["classes"], [], "classes: the list is empty"),
        (["images", 0, "classes", 0, "name"], "tram", "classes[0]: the class 'tram' is unknown"),
        (["classes", 0, "name"], "bus", "classes: duplicate name"),
        (["classes", 0, "isthing"], 3, "classes[0]: 'isthing' is 3; expected 0 or 1"),
        (["classes", 1, "tp"], 3, "classes[1]: 'tp' is 3, but the images add up to 2"),
        (["images", 1, "image_id"], 7, "images: duplicate 'image_id'"),
        (["images", 1, "image_id"], None, "images[1]: 'image_id' is null; expected an integer"),
        (["images", 0, "classes"], ..., "images[0]: image 7: missing 'classes'"),
        (["images", 0, "classes", 0, "iou"], 1.5, "'iou' is 1.5; expected 0 to 'tp', 1"),
        (["images", 0, "classes", 0, "iou"], -0.5, "'iou' is -0.5; expected 0 to 'tp', 1"),
        (["images", 0, "classes", 0, "iou"], float("nan"), "'iou' is NaN; expected a number"),
        (["images", 0, "classes", 0, "fn"], 0.5, "'fn' is 0.5; expected an integer"),
        (["images", 0, "classes", 0, "fn"], 10**400, "'fn' is 1000"),
        (["images", 0, "classes", 1, "name"], "car", "image 7: duplicate class"),
        (["miou"], "high", "'miou' is \"high\"; expected a number"),
        (["boundary"], {"all": 3}, "found 3; expected an object"),
        (["boundary"], [], "found []; expected an object"),
    ],
)
def test_invalid_content_is_rejected_in_one_sentence(tmp_path, place, value, message):
    values = factories.result(TWO)
    change(values, place, value)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(values))

    with pytest.raises(ValueError, match="not a result with numbers of each image: ") as error:
        read_result(path)

    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "invalid JSON"), ("[]", "found []; expected an object"), (None, "can't be read")],
)
def test_a_file_without_a_json_object_is_rejected(tmp_path, content, message):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_text(content)

    with pytest.raises(ValueError) as error:  # noqa: PT011 - the message is compared below
        read_result(path)

    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)
