from dataclasses import replace

import numpy as np
import pytest

from factories import BUS, CAR, CATEGORIES, PERSON, ROAD, SKY, TREE, panoptic_map, segment
from jsisnet.categories import UNKNOWN, Categories, Category
from jsisnet.datatools.join_classes import Group, by_groups, by_supercategory, joined, parse
from jsisnet.formats.records import Record, Source
from jsisnet.panoptic import Segment


def joined_map(panoptic, groups, **options):
    """Give a map in its new classes, and these."""
    record = Record(image_id=1, name="a.jpg", image=None, size=None, read=lambda: panoptic)
    joining = by_groups(CATEGORIES, parse(groups), **options)
    source = joined(Source(categories=CATEGORIES, records=(record,)), joining)
    assert source.categories == joining.categories
    return source.records[0].read(), joining.categories


def names(categories):
    return [category.name for category in categories]


def test_a_new_class_has_the_place_id_and_color_of_its_first_member():
    joining = by_groups(CATEGORIES, {"vehicle": Group(members=("bus", "car"))})

    assert names(joining.categories) == ["person", "vehicle", "sky", "road", "tree"]
    assert joining.categories[1] == Category(
        id=6,
        name="vehicle",
        isthing=True,
        color=(0, 60, 100),
        supercategory="vehicle",
        members=("bus", "car"),
    )
    assert joining.labels == (0, 1, 1, 2, 3, 4)


def test_a_new_class_with_the_name_of_a_member_has_its_id():
    joining = by_groups(CATEGORIES, {"car": Group(members=("bus", "car"))})

    assert joining.categories[1].id == 3


def test_members_of_several_supercategories_leave_none():
    joining = by_groups(CATEGORIES, {"ground": Group(members=("road", "tree"))})

    assert joining.categories[4].supercategory is None


def test_a_class_that_is_named_as_it_is_stays_as_it_is():
    joining = by_groups(CATEGORIES, {"car": Group(members=("car",))})

    assert joining.categories == CATEGORIES


def test_a_supercategory_of_things_and_stuff_is_no_class():
    car, road = (replace(CATEGORIES[label], supercategory="street") for label in (CAR, ROAD))

    with pytest.raises(ValueError, match=r"'street': 'car' is a thing and 'road' is stuff; .*map"):
        by_supercategory(Categories((car, road)))


def test_classes_may_swap_their_names():
    joining = by_groups(CATEGORIES, parse({"car": ["bus"], "bus": ["car"]}))

    assert names(joining.categories) == ["person", "bus", "car", "sky", "road", "tree"]
    assert [category.id for category in joining.categories][1:3] == [3, 6]


def test_with_only_the_other_classes_become_void():
    joining = by_groups(CATEGORIES, parse({"car": ["car"], "way": ["road"]}), only=True)

    assert names(joining.categories) == ["car", "way"]
    assert joining.labels == (UNKNOWN, 0, UNKNOWN, UNKNOWN, 1, UNKNOWN)


def test_supercategories_join_and_can_be_joined_again():
    once = by_supercategory(CATEGORIES)

    twice = by_supercategory(once.categories)

    assert names(once.categories) == ["person", "vehicle", "outdoor", "ground"]
    assert once.labels == (0, 1, 1, 2, 3, 2)
    assert names(twice.categories) == names(once.categories)


def test_stuff_of_one_class_becomes_one_segment_and_things_stay_apart():
    panoptic = panoptic_map(
        [[1, 2, 3, 4, 5]],
        *(segment(SKY), segment(CAR), segment(TREE), segment(BUS), segment(PERSON)),
    )

    made, categories = joined_map(panoptic, {"above": ["sky", "tree"], "vehicle": ["car", "bus"]})

    assert made.ids.tolist() == [[1, 2, 1, 3, 4]]
    assert [categories[s.label].name for s in made.segments] == [
        *("above", "vehicle", "vehicle", "person")
    ]


def test_things_that_become_stuff_are_one_segment_without_crowds():
    crowd = segment(PERSON, iscrowd=True)
    panoptic = panoptic_map([[1, 2, 3, 4]], crowd, segment(ROAD), segment(PERSON), segment(CAR))

    made, _ = joined_map(panoptic, {"man": {"members": ["person", "car"], "isthing": False}})

    assert made.ids.tolist() == [[1, 2, 1, 1]]
    assert made.segments[0] == Segment(label=0, isthing=False)


def test_members_of_void_become_void():
    panoptic = panoptic_map([[1, 2, 3]], segment(CAR), segment(SKY), segment(ROAD))

    made, categories = joined_map(panoptic, {"void": ["sky", "bus"]})

    assert made.ids.tolist() == [[1, 0, 2]]
    assert names(categories) == ["person", "car", "road", "tree"]


def test_a_map_may_lose_all_its_segments():
    panoptic = panoptic_map([[1, 1]], segment(SKY))

    made, _ = joined_map(panoptic, {"void": ["sky"]})

    assert made.segments == ()
    assert not np.any(made.ids)


@pytest.mark.parametrize(
    ("groups", "reason"),
    [
        ({"a": ["carr"]}, "'a': there is no class 'carr' in the data set; the nearest is 'car'"),
        ({"a": ["xyz"]}, "there is no class 'xyz' in the data set$"),
        ({"a": ["b"], "b": ["car"]}, "'b' is a new class, expected classes of the data set"),
        ({"a": ["car"], "b": ["car"]}, "'b': the class 'car' is in 'a' too"),
        ({"a": ["car"], "void": ["car"]}, "'void': the class 'car' is in 'a' too"),
        ({"a": ["car", "car"]}, "'a': the class 'car' is twice"),
        ({"car": ["bus"]}, "'car': the data set has a class of this name"),
        ({"a": ["car", "sky"]}, "'car' is a thing and 'sky' is stuff; expected 'isthing: false'"),
        ({"a": {"members": ["sky"], "isthing": True}}, "'a': 'sky' is stuff, which has no single"),
        ({"void": names(CATEGORIES)}, "no class is left"),
    ],
)
def test_groups_that_can_not_be_are_refused(groups, reason):
    with pytest.raises(ValueError, match=reason):
        by_groups(CATEGORIES, parse(groups))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({False: ["car"]}, "the name of a class is False, expected a text"),
        ({"": ["car"]}, "the name of a class is ''"),
        ({"a": []}, "'a': has no members"),
        ({"a": None}, "'a': 'members' is null"),
        ({"a": [1]}, "expected a list of strings"),
        ({"a": {"isthing": True}}, "'a': has no 'members'"),
        ({"a": {"members": ["car"], "isting": True}}, "'a': found 'isting', expected 'members'"),
        ({"a": {"members": ["car"], "isthing": 2}}, "'isthing' is 2"),
        ({"void": {"members": ["car"], "isthing": True}}, "stands for no class"),
    ],
)
def test_what_is_no_group_is_refused(values, reason):
    with pytest.raises(ValueError, match=reason):
        parse(values)


def test_void_may_have_no_members():
    assert by_groups(CATEGORIES, parse({"void": []})).categories == CATEGORIES
