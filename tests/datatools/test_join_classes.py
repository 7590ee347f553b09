from dataclasses import replace

import numpy as np
import pytest

from factories import BUS, CAR, CATEGORIES, PERSON, ROAD, SKY, TREE, panoptic_map, segment
from jsisnet.categories import UNKNOWN, Categories, Category
from jsisnet.datatools.join_classes import (
    ClassGroup,
    map_by_groups,
    map_by_supercategory,
    map_classes,
    parse_groups,
)
from jsisnet.formats.records import Record, Source
from jsisnet.panoptic import Segment


def mapped(panoptic, groups, **options):
    """Return a map in its new classes, and the new classes."""
    record = Record(image_id=1, name="a.jpg", image=None, size=None, read=lambda: panoptic)
    mapping = map_by_groups(CATEGORIES, parse_groups(groups), **options)
    source = map_classes(Source(categories=CATEGORIES, records=(record,)), mapping)
    assert source.categories == mapping.categories
    return source.records[0].read(), mapping.categories


def names(categories):
    return [category.name for category in categories]


def test_a_new_class_has_position_id_and_color_of_its_first_member():
    mapping = map_by_groups(CATEGORIES, {"vehicle": ClassGroup(members=("bus", "car"))})

    assert names(mapping.categories) == ["person", "vehicle", "sky", "road", "tree"]
    assert mapping.categories[1] == Category(
        id=6,
        name="vehicle",
        isthing=True,
        color=(0, 60, 100),
        supercategory="vehicle",
        members=("bus", "car"),
    )
    assert mapping.labels == (0, 1, 1, 2, 3, 4)


def test_a_new_class_with_the_name_of_a_member_has_its_id():
    mapping = map_by_groups(CATEGORIES, {"car": ClassGroup(members=("bus", "car"))})

    assert mapping.categories[1].id == 3


def test_members_of_several_supercategories_give_none():
    mapping = map_by_groups(CATEGORIES, {"ground": ClassGroup(members=("road", "tree"))})

    assert mapping.categories[4].supercategory is None


def test_a_group_of_one_class_with_its_own_name_changes_nothing():
    mapping = map_by_groups(CATEGORIES, {"car": ClassGroup(members=("car",))})

    assert mapping.categories == CATEGORIES


def test_a_supercategory_of_things_and_stuff_is_refused():
    car, road = (replace(CATEGORIES[label], supercategory="street") for label in (CAR, ROAD))

    with pytest.raises(ValueError, match=r"'street': 'car' is a thing and 'road' is stuff; .*map"):
        map_by_supercategory(Categories((car, road)))


def test_classes_may_swap_their_names():
    mapping = map_by_groups(CATEGORIES, parse_groups({"car": ["bus"], "bus": ["car"]}))

    assert names(mapping.categories) == ["person", "bus", "car", "sky", "road", "tree"]
    assert [category.id for category in mapping.categories][1:3] == [3, 6]


def test_only_makes_the_other_classes_void():
    mapping = map_by_groups(CATEGORIES, parse_groups({"car": ["car"], "way": ["road"]}), only=True)

    assert names(mapping.categories) == ["car", "way"]
    assert mapping.labels == (UNKNOWN, 0, UNKNOWN, UNKNOWN, 1, UNKNOWN)


def test_supercategories_are_merged_and_can_be_merged_again():
    once = map_by_supercategory(CATEGORIES)

    twice = map_by_supercategory(once.categories)

    assert names(once.categories) == ["person", "vehicle", "outdoor", "ground"]
    assert once.labels == (0, 1, 1, 2, 3, 2)
    assert names(twice.categories) == names(once.categories)


def test_stuff_of_one_class_becomes_one_segment_and_things_stay_apart():
    panoptic = panoptic_map(
        [[1, 2, 3, 4, 5]],
        *(segment(SKY), segment(CAR), segment(TREE), segment(BUS), segment(PERSON)),
    )

    made, categories = mapped(panoptic, {"above": ["sky", "tree"], "vehicle": ["car", "bus"]})

    assert made.ids.tolist() == [[1, 2, 1, 3, 4]]
    assert [categories[s.label].name for s in made.segments] == [
        *("above", "vehicle", "vehicle", "person")
    ]


def test_things_that_become_stuff_are_one_segment_without_crowds():
    crowd = segment(PERSON, iscrowd=True)
    panoptic = panoptic_map([[1, 2, 3, 4]], crowd, segment(ROAD), segment(PERSON), segment(CAR))

    made, _ = mapped(panoptic, {"man": {"members": ["person", "car"], "isthing": False}})

    assert made.ids.tolist() == [[1, 2, 1, 1]]
    assert made.segments[0] == Segment(label=0, isthing=False)


def test_members_of_void_become_void():
    panoptic = panoptic_map([[1, 2, 3]], segment(CAR), segment(SKY), segment(ROAD))

    made, categories = mapped(panoptic, {"void": ["sky", "bus"]})

    assert made.ids.tolist() == [[1, 0, 2]]
    assert names(categories) == ["person", "car", "road", "tree"]


def test_a_map_may_lose_all_its_segments():
    panoptic = panoptic_map([[1, 1]], segment(SKY))

    made, _ = mapped(panoptic, {"void": ["sky"]})

    assert made.segments == ()
    assert not np.any(made.ids)


@pytest.mark.parametrize(
    ("groups", "reason"),
    [
        ({"a": ["carr"]}, "'a': the data set has no class 'carr'; did you mean 'car'"),
        ({"a": ["xyz"]}, "the data set has no class 'xyz'$"),
        ({"a": ["b"], "b": ["car"]}, "'b' is a new class; expected classes of the data set"),
        ({"a": ["car"], "b": ["car"]}, "'b': the class 'car' is listed in 'a', too"),
        ({"a": ["car"], "void": ["car"]}, "'void': the class 'car' is listed in 'a', too"),
        ({"a": ["car", "car"]}, "'a': the class 'car' is listed twice"),
        ({"car": ["bus"]}, "'car': the data set already has a class of this name"),
        ({"a": ["car", "sky"]}, "'car' is a thing and 'sky' is stuff; expected 'isthing: false'"),
        (
            {"a": {"members": ["sky"], "isthing": True}},
            "'a': 'sky' is stuff, which has no instances",
        ),
        ({"void": names(CATEGORIES)}, "no class remains"),
    ],
)
def test_impossible_groups_are_refused(groups, reason):
    with pytest.raises(ValueError, match=reason):
        map_by_groups(CATEGORIES, parse_groups(groups))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({False: ["car"]}, "the name of a class is False; expected a string"),
        ({"": ["car"]}, "the name of a class is ''"),
        ({"a": []}, "'a': no members"),
        ({"a": None}, "'a': 'members' is null"),
        ({"a": [1]}, "expected a list of strings"),
        ({"a": {"isthing": True}}, "'a': missing 'members'"),
        (
            {"a": {"members": ["car"], "isting": True}},
            "'a': unknown key 'isting'; expected 'members'",
        ),
        ({"a": {"members": ["car"], "isthing": 2}}, "'isthing' is 2"),
        ({"void": {"members": ["car"], "isthing": True}}, "void is not a class"),
    ],
)
def test_invalid_groups_are_refused(values, reason):
    with pytest.raises(ValueError, match=reason):
        parse_groups(values)


def test_void_may_have_no_members():
    assert map_by_groups(CATEGORIES, parse_groups({"void": []})).categories == CATEGORIES
