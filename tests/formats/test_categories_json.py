import json

import pytest

from factories import CATEGORIES, category_entries
from jsisnet.formats import categories_json


def test_entries_are_read_in_order():
    assert categories_json.parse(category_entries()) == CATEGORIES


@pytest.mark.parametrize("classes", [CATEGORIES, CATEGORIES.merged_by("supercategory")])
def test_entries_give_back_the_categories(classes):
    assert categories_json.parse(categories_json.entries(classes)) == classes


def test_only_id_name_and_isthing_are_needed():
    (category,) = categories_json.parse([{"id": "a7", "name": "cat", "isthing": True}])

    assert (category.id, category.name, category.isthing) == ("a7", "cat", True)
    assert (category.color, category.supercategory, category.members) == (None, None, ())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"isthing": "1"}, r"'isthing' is \"1\"; expected 0 or 1 \(remove the quotes\)"),
        ({"isthing": None}, r"categories\[0\]: category 1: 'isthing' is null; expected 0 or 1"),
        ({"name": 5}, "category 1: 'name' is 5; expected a string"),
        ({"id": 1.5}, "'id' is 1.5; expected an integer or a string"),
        ({"members": "cat"}, "category 1: 'members' is \"cat\"; expected a list"),
        ({"id": 3}, "duplicate category id 3"),
        ({"name": "car"}, "duplicate category name 'car'"),
    ],
)
def test_a_malformed_category_is_named(change, message):
    first, *others = category_entries()

    with pytest.raises(ValueError, match=message):
        categories_json.parse([first | change, *others])


def test_a_file_without_categories_is_named(tmp_path):
    (tmp_path / "a.json").write_text("{}")

    with pytest.raises(ValueError, match=r"a\.json: missing 'categories'"):
        categories_json.read(tmp_path / "a.json")


@pytest.mark.parametrize("color", ["#ff0080", "#FF0080", "ff0080", "#f08", [255.0, 0, 128]])
def test_a_color_may_be_hexadecimal(color):
    entry = {"id": 1.0, "name": "cat", "isthing": 1.0, "color": color}

    (category,) = categories_json.parse([entry])

    assert category.isthing is True
    assert (category.id, type(category.id)) == (1, int)
    assert category.color in ((255, 0, 128), (255, 0, 136))


@pytest.mark.parametrize(
    "color",
    [[1, 2, 3, 4], [0, 0, 256], [0.1, 0.2, 0.3], [], "red", "#ff00", {}, 7, True, [None] * 3],
)
def test_unreadable_colors_are_ignored_with_one_warning(color, caplog, tmp_path):
    entries = [entry | {"color": color} for entry in category_entries()]

    found = categories_json.parse(entries, tmp_path / "a.json")

    assert [category.color for category in found] == [None] * len(CATEGORIES)
    (message,) = caplog.messages
    assert "a.json: ignored an unreadable 'color' (6 cases): category 1: " in message


def test_a_supercategory_that_is_a_number_is_ignored(caplog, tmp_path):
    first, *others = category_entries()

    found = categories_json.parse([first | {"supercategory": 3}, *others], tmp_path / "a.json")

    assert found[0].supercategory is None
    assert "ignored an unreadable 'supercategory': category 1: " in caplog.text


@pytest.mark.parametrize("segments", [False, True])
@pytest.mark.parametrize(("used", "kept"), [([0], 0), ([1], 1), ([], 1)])
def test_an_unused_category_that_repeats_a_name_is_left_out(tmp_path, caplog, segments, used, kept):
    values = [{"id": number, "name": "fish", "isthing": 1} for number in (0, 1)]
    infos = [{"category_id": number} for number in used]
    annotations = [{"segments_info": infos}] if segments else infos
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"categories": values, "annotations": annotations}))

    assert [category.id for category in categories_json.read(path)] == [kept]
    assert "left out an unused category that repeats a name: category" in caplog.text


def test_two_used_categories_with_one_name_are_refused(tmp_path):
    values = [{"id": number, "name": "fish", "isthing": 1} for number in (0, 1)]
    infos = [{"category_id": number} for number in (0, 1.0)]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"categories": values, "annotations": infos}))

    with pytest.raises(ValueError, match="duplicate category name 'fish'"):
        categories_json.read(path)
