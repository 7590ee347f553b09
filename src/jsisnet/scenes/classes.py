"""The classes of generated scenes."""

from jsisnet.categories import Categories, Category

BALL, CRATE, RING, STAR, TREE, SKY, MOUNTAIN, WATER, GRASS, SAND, ROAD = range(11)
"""Labels of `CATEGORIES`."""

THINGS = (BALL, CRATE, RING, STAR, TREE)
"""Labels of what is drawn on top of the stuff."""

CATEGORIES = Categories(
    (
        Category(id=1, name="ball", isthing=True, color=(230, 60, 60), supercategory="toy"),
        Category(id=2, name="crate", isthing=True, color=(190, 120, 40), supercategory="furniture"),
        Category(id=3, name="ring", isthing=True, color=(250, 140, 200), supercategory="toy"),
        Category(id=4, name="star", isthing=True, color=(255, 200, 40), supercategory="toy"),
        Category(id=5, name="tree", isthing=True, color=(30, 110, 60), supercategory="plant"),
        Category(id=11, name="sky", isthing=False, color=(120, 188, 240), supercategory="backdrop"),
        Category(
            id=12, name="mountain", isthing=False, color=(130, 132, 108), supercategory="backdrop"
        ),
        Category(id=13, name="water", isthing=False, color=(48, 122, 186), supercategory="water"),
        Category(id=14, name="grass", isthing=False, color=(146, 204, 84), supercategory="ground"),
        Category(id=15, name="sand", isthing=False, color=(228, 204, 142), supercategory="ground"),
        Category(id=16, name="road", isthing=False, color=(118, 110, 158), supercategory="ground"),
    )
)
"""Five things and six stuff classes; merged by supercategory three of each."""
