import numpy as np

from jsisnet.categories import Categories, Category
from jsisnet.panoptic import PanopticMap, Segment
from jsisnet.visualize.palette import category_color, segment_colors, short_name

SKY, CAR = range(2)
RED, BLUE = (200, 30, 30), (30, 30, 200)
CATEGORIES = Categories(
    (
        Category(id=7, name="sky-other-merged", isthing=False, color=BLUE),
        Category(id=9, name="car", isthing=True, color=RED),
    )
)


def test_instances_of_a_class_have_different_colours_and_the_first_has_that_of_the_class():
    sky, car = Segment(label=SKY, isthing=False), Segment(label=CAR, isthing=True)
    panoptic = PanopticMap(np.zeros((1, 1), np.int32), (sky, *[car] * 60))

    colors = [tuple(color) for color in segment_colors(panoptic, CATEGORIES).tolist()]

    assert colors[:2] == [BLUE, RED]
    assert len(set(colors[1:])) == 60


def test_classes_without_a_colour_get_different_ones():
    categories = Categories(
        tuple(Category(id=i, name=f"class {i}", isthing=i < 80) for i in range(133))
    )

    colors = {category_color(categories, label) for label in range(133)}

    assert len(colors) == 133


def test_familiar_stuff_has_its_natural_colour():
    categories = Categories((Category(id=1, name="grass-merged", isthing=False),))

    red, green, blue = category_color(categories, 0)

    assert green > red > blue


def test_names_are_one_line_without_what_coco_appends_to_stuff():
    names = ["sky-other-merged", "traffic\n light", "wall-brick", "food-stuff"]
    categories = [Category(id=1, name=name, isthing=False) for name in names]

    assert [short_name(category) for category in categories] == [
        "sky",
        "traffic light",
        "wall-brick",
        "food",
    ]
