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
    with pytest.raises(ValueError, match="category id 1 occurs twice"):
        Categories((category(1, "sky"), category(1, "sea")))
    with pytest.raises(ValueError, match="category name 'sky' occurs twice"):
        Categories((category(1, "sky"), category(2, "sky")))


def test_labels_leave_room_for_void():
    many = tuple(category(number, str(number)) for number in range(256))

    assert len(Categories(many[:255])) == 255
    with pytest.raises(ValueError, match="256 categories; expected at most 255"):
        Categories(many)


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


def test_a_class_without_supercategory_can_not_be_merged():
    with pytest.raises(ValueError, match="category 'sky' has no supercategory"):
        Categories((category(1, "sky"),)).merged_by("supercategory")


def test_things_and_stuff_of_one_supercategory_can_not_be_merged():
    mixed = Categories(
        (
            category(1, "boat", isthing=True, supercategory="water"),
            category(2, "sea", supercategory="water"),
        )
    )

    with pytest.raises(ValueError, match="'water' occurs twice"):
        mixed.merged_by("supercategory")


@pytest.mark.parametrize("isthing", [False, True])
def test_a_class_without_counterpart_is_named(isthing):
    source = Categories((category(9, "lamp", isthing=isthing), *CATEGORIES))
    kind = "thing" if isthing else "stuff"

    with pytest.raises(
        ValueError, match=rf"the {kind} category 'lamp' \(id 9\) has no counterpart"
    ):
        CATEGORIES.labels_of(source)


def test_a_thing_is_no_counterpart_of_stuff():
    source = Categories((category(3, "car"),))

    with pytest.raises(ValueError, match="the stuff category 'car'"):
        CATEGORIES.labels_of(source)
