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
        ({"isthing": None}, r"categories\[0\]: category 1: 'isthing' is null; expected 0 or 1"),
        ({"name": 5}, "category 1: 'name' is 5; expected a string"),
        ({"id": 1.5}, "'id' is 1.5; expected an integer or a string"),
        ({"color": [1, 2]}, "category 1: 'color' has 2 numbers; expected red, green and blue"),
        ({"color": [1, 2, 300]}, "category 1: 'blue' is 300; expected an integer"),
        ({"supercategory": 3}, "category 1: 'supercategory' is 3; expected a string"),
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
