from time import thread_time

import pytest

from factories import BUS, CAR, CATEGORIES, PERSON, ROAD, SKY, TREE
from jsisnet.categories import Categories, Category


def category(number, name, *, isthing=False, **more):
    return Category(id=number, name=name, isthing=isthing, **more)


def test_label_and_category_id_are_inverse():
    assert [CATEGORIES.label(category.id) for category in CATEGORIES] == list(range(6))
    assert CATEGORIES[CAR].id == 3
    assert CATEGORIES.label(92) == SKY


def test_only_known_ids_are_contained():
    assert 92 in CATEGORIES
    assert 5 not in CATEGORIES
    assert "92" not in CATEGORIES


def test_things_and_stuff_are_listed_apart():
    assert CATEGORIES.thing_labels == (PERSON, CAR, BUS)
    assert CATEGORIES.stuff_labels == (SKY, ROAD, TREE)


def test_no_id_and_no_name_occurs_twice():
    with pytest.raises(ValueError, match="duplicate category id 1"):
        Categories((category(1, "sky"), category(1, "sea")))
    with pytest.raises(ValueError, match="duplicate category name 'sky'"):
        Categories((category(1, "sky"), category(2, "sky")))


def test_the_classes_of_a_supercategory_are_merged():
    merged = CATEGORIES.merged_by("supercategory")

    assert [(c.id, c.name, c.isthing, c.members) for c in merged] == [
        (1, "person", True, ("person",)),
        (2, "vehicle", True, ("car", "bus")),
        (3, "outdoor", False, ("sky", "tree")),
        (4, "ground", False, ("road",)),
    ]
    assert merged[1].color == CATEGORIES[CAR].color


def test_each_class_has_a_label_among_the_merged_ones():
    merged = CATEGORIES.merged_by("supercategory")

    assert merged.labels_of(CATEGORIES) == (0, 1, 1, 2, 3, 2)
    assert merged.labels_of(merged) == (0, 1, 2, 3)


def test_categories_are_matched_by_name_whatever_their_order_and_ids():
    ours = Categories((category(1, "sky"), category(2, "sea")))
    theirs = Categories((category("a", "sea"), category("b", "sky")))

    assert ours.labels_of(theirs) == (1, 0)


@pytest.mark.parametrize("name", [None, "", "  "])
def test_a_class_without_supercategory_can_not_be_merged(name):
    known = category(2, "tree", supercategory="outdoor")
    with pytest.raises(ValueError, match="category 'sky' has no supercategory"):
        Categories((known, category(1, "sky", supercategory=name))).merged_by("supercategory")


@pytest.mark.parametrize("name", ["none", "None", "N/A", "<null>", "-", "undefined"])
def test_a_placeholder_that_all_classes_share_groups_nothing(name):
    both = Categories(
        tuple(category(i, n, supercategory=name) for i, n in ((1, "car"), (2, "dog")))
    )

    with pytest.raises(ValueError, match="the supercategory of all 2 categories is"):
        both.merged_by("supercategory")


def test_all_classes_may_share_a_real_supercategory():
    both = Categories(tuple(category(i, str(i), supercategory="vehicle") for i in (1, 2)))

    assert [each.name for each in both.merged_by("supercategory")] == ["vehicle"]


def test_things_and_stuff_of_one_supercategory_can_not_be_merged():
    mixed = Categories(
        (
            category(1, "boat", isthing=True, supercategory="water"),
            category(2, "sea", supercategory="water"),
        )
    )

    with pytest.raises(ValueError, match="duplicate category name 'water'"):
        mixed.merged_by("supercategory")


@pytest.mark.parametrize("isthing", [False, True])
def test_a_class_without_counterpart_is_named(isthing):
    source = Categories((category(9, "lamp", isthing=isthing), *CATEGORIES))
    kind = "thing" if isthing else "stuff"

    with pytest.raises(ValueError, match=rf"the {kind} category 'lamp' \(id 9\) is not one of the"):
        CATEGORIES.labels_of(source)


def test_a_thing_is_no_counterpart_of_stuff():
    source = Categories((category(3, "car"),))

    with pytest.raises(ValueError, match="the stuff category 'car'"):
        CATEGORIES.labels_of(source)


def things(*names, **more):
    return Categories(tuple(category(i, n, isthing=True, **more) for i, n in enumerate(names, 1)))


def merged(**groups):
    return Categories(
        tuple(
            category(i, name, isthing=True, members=tuple(members.split()))
            for i, (name, members) in enumerate(groups.items(), 1)
        )
    )


def test_classes_are_joined_by_name_in_order_of_first_appearance():
    joined = things("cat", "dog").joined_with(things("cow", "cat", "emu"))

    assert [c.name for c in joined] == ["cat", "dog", "cow", "emu"]


def test_an_id_that_is_taken_is_replaced_by_a_free_one():
    joined = things("cat", "dog").joined_with(things("dog", "cow", "emu"))

    assert [(c.id, c.name) for c in joined] == [(1, "cat"), (2, "dog"), (3, "cow"), (4, "emu")]


def test_classes_joined_with_their_own_or_none_stay_as_they_are():
    assert CATEGORIES.joined_with(CATEGORIES) == CATEGORIES
    assert Categories(()).joined_with(CATEGORIES) == CATEGORIES
    assert CATEGORIES.joined_with(Categories(())) == CATEGORIES


def test_merged_classes_get_the_members_of_both():
    joined = merged(vehicle="car bus", pet="cat").joined_with(merged(vehicle="bus tram"))

    assert [(c.name, c.members) for c in joined] == [
        ("vehicle", ("car", "bus", "tram")),
        ("pet", ("cat",)),
    ]


def test_a_member_of_a_merged_class_joins_it():
    joined = merged(vehicle="car bus").joined_with(things("bus", "cat"))

    assert [c.name for c in joined] == ["vehicle", "cat"]


def test_a_class_named_like_a_merged_one_joins_it_whatever_its_members_are_named():
    both = merged(person="person rider", rider="jockey")

    assert both.joined_with(both) == both


def test_a_class_that_is_a_thing_here_and_stuff_there_is_named():
    with pytest.raises(ValueError, match="'car' is stuff, but a thing in an earlier data set"):
        things("car").joined_with(Categories((category(1, "car"),)))
    with pytest.raises(ValueError, match="'car' is a thing, but stuff in an earlier data set"):
        Categories((category(1, "car"),)).joined_with(things("car"))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (things("car", "bus"), merged(vehicle="car bus")),
        (merged(vehicle="car", toy="bus"), merged(vehicle="car bus")),
    ],
)
def test_classes_that_are_merged_in_two_ways_are_refused(first, second):
    with pytest.raises(
        ValueError, match=r"'(car|bus)' is merged into 'vehicle', but into '(car|toy)"
    ):
        first.joined_with(second)


def test_a_data_set_labels_the_classes_that_it_has():
    ours = things("cat", "dog", "cow")

    assert ours.labelled_by(things("cow", "cat")) == (True, False, True)


def test_a_data_set_labels_a_merged_class_if_it_has_all_members():
    ours = merged(vehicle="car bus", pet="cat dog")

    assert ours.labelled_by(things("bus", "cat", "car")) == (True, False)
    assert ours.labelled_by(merged(vehicle="car bus", pet="dog")) == (True, False)
    assert ours.labelled_by(CATEGORIES) == (True, False)


def named(*names, isthing=False):
    """Return the name of each class and of its mirrored class."""
    categories = Categories(
        tuple(Category(id=i, name=name, isthing=isthing) for i, name in enumerate(names))
    )
    mirrored = categories.mirrored
    assert [mirrored[label] for label in mirrored] == list(range(len(names)))
    return {name: names[label] for name, label in zip(names, mirrored, strict=True)}


@pytest.mark.parametrize("isthing", [True, False])
@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("left", "right"),
        ("Lane Marking - Arrow (Left)", "Lane Marking - Arrow (Right)"),
        ("Arrow (Split Left or Straight)", "Arrow (Split Right or Straight)"),
        ("marking--discrete--arrow--left", "marking--discrete--arrow--right"),
        ("arrow--split-left-or-straight", "arrow--split-right-or-straight"),
        ("hand_left", "HAND_RIGHT"),
        ("left of right lane", "right of left lane"),
    ],
)
def test_flipping_swaps_left_and_right_classes(left, right, isthing):
    assert named("road", left, "sky", right, isthing=isthing) == {
        "road": "road",
        left: right,
        "sky": "sky",
        right: left,
    }


@pytest.mark.parametrize(
    "names",
    [
        (),
        ("car", "road"),
        ("Arrow (Left)", "Arrow (Straight)"),
        ("leftover", "rightover"),
        ("cleft", "cright"),
        ("Split Left or Right", "Straight"),
    ],
)
def test_flipping_keeps_a_class_without_counterpart(names):
    assert named(*names) == dict(zip(names, names, strict=True))


def test_flipping_never_swaps_a_thing_and_stuff():
    left, right = category(1, "left"), category(2, "right", isthing=True)

    assert Categories((left, right)).mirrored == (0, 1)


def test_names_that_differ_only_in_case_do_not_share_a_counterpart():
    assert sorted(named("Left", "left", "right").items()) == [
        ("Left", "Left"),
        ("left", "right"),
        ("right", "left"),
    ]


def test_a_duplicate_among_many_is_found_in_time_and_few_are_listed():
    names = tuple(category(i, f"c{i}") for i in range(30_000))
    begin = thread_time()

    with pytest.raises(ValueError, match="duplicate category id 29999"):
        Categories((*names, category(29_999, "again")))
    with pytest.raises(ValueError, match=r"name 'c29999' \(ids 29999, 'x'\)"):
        Categories((*names, category("x", "c29999")))
    with pytest.raises(ValueError, match=r"name 'c' \(ids 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, \.\.\.\)"):
        Categories(tuple(category(i, "c") for i in range(20)))
    assert thread_time() - begin < 10


def test_thousands_of_classes_with_taken_ids_are_appended_in_time():
    ours = Categories(tuple(category(i, f"a{i}") for i in range(10_000)))
    theirs = Categories(tuple(category(i, f"b{i}") for i in range(10_000)))
    begin = thread_time()

    assert len({one.id for one in ours.joined_with(theirs)}) == 20_000
    assert thread_time() - begin < 10
