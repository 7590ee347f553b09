from itertools import pairwise

import numpy as np
import pytest

from jsisnet.categories import Categories, Category
from jsisnet.panoptic import PanopticMap, Segment
from jsisnet.visualize.oklab import distance, seen, to_oklch
from jsisnet.visualize.palette import category_color, class_colors, segment_colors, short_name

SKY, CAR = range(2)
RED, BLUE = (200, 30, 30), (30, 30, 200)
CATEGORIES = Categories(
    (
        Category(id=7, name="sky-other-merged", isthing=False, color=BLUE),
        Category(id=9, name="car", isthing=True, color=RED),
    )
)


def things(ids, label=CAR):
    return PanopticMap(ids, (Segment(label=label, isthing=True),) * int(ids.max()))


def turns(one, other):
    """Difference of hues in turns, at most a half."""
    return abs((one - other + 0.5) % 1 - 0.5)


def test_stuff_and_the_largest_thing_have_the_colours_of_their_classes():
    ids = np.ones((40, 60), np.int32)
    ids[5:10, 5:10] = 2
    ids[20:40, 20:40] = 3
    car = Segment(label=CAR, isthing=True)
    panoptic = PanopticMap(ids, (Segment(label=SKY, isthing=False), car, car))

    colors = [tuple(color) for color in segment_colors(panoptic, CATEGORIES).tolist()]

    assert colors[0] == BLUE
    assert colors[2] == RED
    assert colors[1] != RED


def test_sixty_things_of_a_class_have_at_least_fifty_colours():
    ids = np.arange(1, 61, dtype=np.int32).reshape(6, 10).repeat(20, axis=0).repeat(20, axis=1)

    assert len(np.unique(segment_colors(things(ids), CATEGORIES), axis=0)) >= 50


@pytest.mark.parametrize("name", ["person", "car", "dog", "chair", "bottle", "an unknown class"])
def test_hues_of_neighbours_are_far_apart_but_of_one_family(name):
    categories = Categories((Category(id=1, name=name, isthing=True),))
    ids = np.arange(1, 9, dtype=np.int32).repeat(20)[None].repeat(40, axis=0)

    colors = segment_colors(things(ids, 0), categories)

    hues = to_oklch(colors)[:, 2]
    base = to_oklch(class_colors(categories))[0, 2]
    assert min(turns(one, other) for one, other in pairwise(hues)) > 0.08
    assert turns(hues, base).max() < 0.2


def test_colours_repeat_exactly():
    ids = np.arange(1, 9, dtype=np.int32).repeat(20)[None].repeat(40, axis=0)

    assert (
        segment_colors(things(ids), CATEGORIES) == segment_colors(things(ids), CATEGORIES)
    ).all()


def test_things_without_pixels_have_colours():
    panoptic = PanopticMap(np.zeros((1, 1), np.int32), (Segment(label=CAR, isthing=True),) * 3)

    assert segment_colors(panoptic, CATEGORIES).shape == (3, 3)


@pytest.mark.parametrize("things", [0, 80, 255])
def test_classes_without_a_colour_get_different_ones(things):
    count = max(133, things)
    categories = Categories(
        tuple(Category(id=i, name=f"class {i}", isthing=i < things) for i in range(count))
    )

    colors = {category_color(categories, label) for label in range(count)}

    assert len(colors) == count


def test_generated_colours_can_be_told_apart_by_the_colour_blind():
    categories = Categories(
        tuple(Category(id=i, name=f"class {i}", isthing=True) for i in range(8))
    )

    looks = seen(class_colors(categories))

    gaps = distance(looks[:, None], looks) + np.eye(8)
    assert gaps.min() > 0.05


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("grass-merged", "GRB"),
        ("tree-merged", "GBR"),
        ("Vegetation", "GBR"),
        ("sky-other-merged", "BGR"),
        ("water-other", "BGR"),
        ("car", "BGR"),
        ("person", "RBG"),
        ("Person", "RBG"),
        ("dirt-merged", "RGB"),
        ("floor-wood", "RGB"),
    ],
)
def test_familiar_classes_have_familiar_colours(name, order):
    color = category_color(Categories((Category(id=1, name=name, isthing=False),)), 0)

    assert "".join(sorted("RGB", key=lambda band: -color["RGB".index(band)])) == order


def test_families_are_found_by_group_and_their_members_differ():
    names = ["canoe", "raft", "hot dog"]
    groups = ["vehicle", "vehicle", "food"]
    categories = Categories(
        tuple(
            Category(id=i, name=name, isthing=True, supercategory=group)
            for i, (name, group) in enumerate(zip(names, groups, strict=True))
        )
    )

    canoe, raft, food = class_colors(categories).tolist()

    assert canoe != raft
    assert min(canoe[2], raft[2]) > 150
    assert food[0] > food[2]


def test_names_are_one_line_without_what_coco_appends_to_stuff():
    names = ["sky-other-merged", "traffic\n light", "wall-brick", "food-stuff"]
    categories = [Category(id=1, name=name, isthing=False) for name in names]

    assert [short_name(category) for category in categories] == [
        "sky",
        "traffic light",
        "wall-brick",
        "food",
    ]
