import json
from dataclasses import replace

import pytest

import factories
from factories import CATEGORIES, SKY
from jsisnet.categories import Categories
from jsisnet.formats import image_list
from jsisnet.formats.image_list import ListedImage

IMAGE = {"id": 7, "file_name": "a/photo.jpg", "height": 2, "width": 3}


def write(path, images=(IMAGE,), categories=None):
    entries = factories.category_entries() if categories is None else categories
    path.write_text(json.dumps({"images": list(images), "categories": entries}))
    return path


def test_a_list_has_the_images_of_its_file_with_their_sizes(tmp_path):
    wanted = image_list.read(write(tmp_path / "list.json"))

    assert wanted.images == {7: ListedImage(name="a/photo.jpg", size=(2, 3))}
    assert wanted.images[7].png == "a/photo.png"
    assert wanted.categories == CATEGORIES


def test_annotations_of_a_list_are_not_read(tiny):
    content = json.loads(tiny.annotations.read_text())
    tiny.annotations.write_text(json.dumps(content | {"annotations": "secret"}))

    assert list(image_list.read(tiny.annotations).images) == [100, 101, 102, 103, 104, 105]


def test_classes_count_as_things_if_the_file_does_not_say(tmp_path):
    entries = [
        {key: value for key, value in entry.items() if key != "isthing"}
        for entry in factories.category_entries()
    ]

    wanted = image_list.read(write(tmp_path / "list.json", categories=entries))

    assert all(category.isthing for category in wanted.categories)


def test_categories_may_come_from_another_file(tmp_path, tiny):
    things = write(tmp_path / "list.json", categories=factories.thing_entries())

    assert image_list.read(things, tiny.annotations).categories == CATEGORIES


def test_a_model_gets_the_ids_of_the_list_by_the_names_of_its_classes(tmp_path):
    wanted = image_list.read(write(tmp_path / "list.json"))
    numbered = Categories(tuple(replace(c, id=n) for n, c in enumerate(reversed(CATEGORIES), 1)))

    own = wanted.with_listed_ids(numbered)

    assert [(c.name, c.id) for c in own] == [(c.name, c.id) for c in reversed(CATEGORIES)]


def test_a_group_of_one_class_is_that_class(tmp_path):
    wanted = image_list.read(write(tmp_path / "list.json"))
    air = replace(CATEGORIES[SKY], id=1, name="air", members=("sky",))

    assert wanted.with_listed_ids(Categories((air,)))[0].id == CATEGORIES[SKY].id


def test_merged_classes_are_those_of_a_list_that_merged_them_alike(tmp_path):
    merged = CATEGORIES.merged_by("supercategory")
    entries = [
        {"id": 10 * c.id, "name": c.name, "isthing": int(c.isthing), "members": c.members}
        for c in merged
    ]

    own = image_list.read(write(tmp_path / "list.json", categories=entries)).with_listed_ids(merged)

    assert [c.id for c in own] == [10, 20, 30, 40]


def test_merged_classes_do_not_match_a_list_of_their_members(tmp_path):
    wanted = image_list.read(write(tmp_path / "list.json"))

    with pytest.raises(
        ValueError, match="'vehicle' was merged from 2 classes, such as 'car' and 'bus"
    ):
        wanted.with_listed_ids(CATEGORIES.merged_by("supercategory"))


def test_a_class_that_the_list_lacks_is_named(tmp_path):
    things = write(tmp_path / "list.json", categories=factories.thing_entries())

    with pytest.raises(
        ValueError, match=r"class 'sky' is not one of the 3 categories for .*list.json"
    ):
        image_list.read(things).with_listed_ids(CATEGORIES)


def test_a_thing_that_is_stuff_in_the_list_is_named(tmp_path):
    wanted = image_list.read(write(tmp_path / "list.json"))
    sky = replace(CATEGORIES[SKY], isthing=True)

    with pytest.raises(ValueError, match="'sky' is a thing in the model, but stuff"):
        wanted.with_listed_ids(Categories((sky,)))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([IMAGE, IMAGE], "duplicate image id 7"),
        (
            [IMAGE, IMAGE | {"id": 8, "file_name": "a/photo.png"}],
            "7 and 8 would share the map",
        ),
        ([IMAGE | {"height": 0}], "image 7: 'height' is 0"),
        ([IMAGE | {"file_name": "photos/.."}], "image 7: 'file_name' is"),
        ([{"id": 7, "file_name": "photo.jpg"}], "image 7: missing 'height'"),
        ([7], "found 7; expected an object"),
    ],
)
def test_a_damaged_list_is_explained(tmp_path, images, message):
    with pytest.raises(ValueError, match=message) as raised:
        image_list.read(write(tmp_path / "list.json", images))

    assert str(raised.value).startswith(str(tmp_path / "list.json"))


def test_the_file_with_damaged_categories_is_named(tmp_path):
    other = write(tmp_path / "other.json", categories=[{"id": 1}])

    with pytest.raises(ValueError, match=r"other.json: .*category 1: missing 'name'"):
        image_list.read(write(tmp_path / "list.json"), other)
