from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from jsisnet.categories import Categories, Category
from jsisnet.panoptic import PanopticMap, Segment
from jsisnet.visualize.overlay import Style, _Labels, draw, side_by_side

SKY, ROAD, CAR = range(3)
RED, BLUE = (200, 30, 30), (30, 30, 200)
CATEGORIES = Categories(
    (
        Category(id=7, name="sky-other-merged", isthing=False, color=BLUE),
        Category(id=8, name="road", isthing=False),
        Category(id=9, name="car", isthing=True, color=RED),
    )
)
PAINT = Style(names=False, thing_opacity=1.0, stuff_opacity=1.0)


def stuff(label):
    return Segment(label=label, isthing=False)


def car(score=None):
    return Segment(label=CAR, isthing=True, score=score)


def halves(height=60, width=120):
    """A map of sky on the left and a car on the right."""
    ids = np.ones((height, width), np.int32)
    ids[:, width // 2 :] = 2
    return PanopticMap(ids, (stuff(SKY), car(0.9)))


def grey(panoptic, value=100):
    return np.full((*panoptic.size, 3), value, np.uint8)


def test_segments_have_the_colours_of_their_classes_and_a_white_border():
    panoptic = halves()

    picture = draw(grey(panoptic), panoptic, CATEGORIES, PAINT)

    colors = [tuple(pixel) for pixel in picture[30].tolist()]
    assert colors == [BLUE] * 59 + [(255, 255, 255)] + [RED] * 60


def test_the_photo_shows_through():
    panoptic = halves()

    picture = draw(
        grey(panoptic), panoptic, CATEGORIES, replace(PAINT, thing_opacity=0.5, stuff_opacity=0.0)
    )

    assert picture[30, 10].tolist() == [100, 100, 100]
    assert picture[30, 110].tolist() == [150, 65, 65]


def test_borders_grow_with_the_photo():
    panoptic = halves(height=400, width=400)

    picture = draw(grey(panoptic), panoptic, CATEGORIES, replace(PAINT, outline=1 / 100))

    assert (picture[200] == 255).all(axis=1).nonzero()[0].tolist() == [198, 199, 200, 201]


def test_without_borders_every_pixel_has_its_colour():
    ids = np.ones((5, 9), np.int32)
    ids[:, 4] = 2
    panoptic = PanopticMap(ids, (stuff(SKY), car()))

    picture = draw(grey(panoptic), panoptic, CATEGORIES, replace(PAINT, outline=0.0))

    assert [tuple(pixel) for pixel in picture[2].tolist()] == [BLUE] * 4 + [RED] + [BLUE] * 4


def test_drawing_leaves_the_photo_as_it_is_and_repeats_exactly():
    panoptic = halves()
    image = grey(panoptic)

    one, other = (draw(image, panoptic, CATEGORIES) for _ in range(2))

    assert (image == 100).all()
    assert (one == other).all()


def test_names_lie_inside_their_segments():
    panoptic = halves()

    written = changed_by_names(panoptic, Style())

    assert written[:, :60].any()
    assert written[:, 60:].any()
    assert not written[:, 58:62].any()
    assert not written[[0, -1]].any()


def test_names_do_not_overlap():
    room = _Labels(np.ones((60, 100), np.int32))

    centres = [room.reserve(1, 12.0, 60.0) for _ in range(9)]

    rows = sorted(y for _, y in filter(None, centres))
    assert len(rows) > 2
    assert all(below - above >= 12 for above, below in pairwise(rows))
    assert centres[-1] is None


def test_a_segment_without_room_stays_nameless():
    ids = np.zeros((60, 120), np.int32)
    ids[20:26, 20:26] = 1

    assert not changed_by_names(PanopticMap(ids, (car(),)), Style()).any()


def test_the_score_of_a_thing_is_written_behind_its_name():
    with_score, without = halves(), PanopticMap(halves().ids, (stuff(SKY), car()))

    long, short = (
        changed_by_names(panoptic, Style())[:, 60:].any(axis=0).sum()
        for panoptic in (with_score, without)
    )

    assert long > 1.5 * short


def changed_by_names(panoptic, style):
    """The pixels that names cover."""
    image = grey(panoptic)
    bare = draw(image, panoptic, CATEGORIES, replace(style, names=False))
    return (draw(image, panoptic, CATEGORIES, style) != bare).any(axis=2)


def test_void_is_grey_and_hatched():
    panoptic = PanopticMap(np.zeros((40, 40), np.int32), ())
    image = np.tile(np.array(RED, np.uint8), (40, 40, 1))

    picture = draw(image, panoptic, CATEGORIES)

    assert (picture == picture[..., :1]).all()
    assert len(np.unique(picture)) == 2
    assert (picture[1:, :-1] == picture[:-1, 1:]).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (200, 1), (0, 5), (3, 2)])
def test_maps_of_any_size_are_drawn(size):
    panoptic = PanopticMap(np.ones(size, np.int32), (car(0.5),))

    assert draw(grey(panoptic), panoptic, CATEGORIES).shape == (*size, 3)


def test_a_photo_of_another_size_is_refused():
    with pytest.raises(
        ValueError, match="the photo has 5 x 4 pixels, but the map has 120 x 60; expected"
    ):
        draw(np.zeros((4, 5, 3), np.uint8), halves(), CATEGORIES)


def test_pictures_are_laid_out_in_rows_with_captions():
    wide, high = np.full((50, 100, 3), 40, np.uint8), np.full((200, 100, 3), 80, np.uint8)

    page = side_by_side([wide, high, wide], ["photo", "truth", "prediction"], columns=2)

    dark, light = (page == 40).all(axis=2), (page == 80).all(axis=2)
    assert (page[0] == 255).all()
    assert light.sum() == high.size / 3
    assert dark.sum() >= 2 * wide.size / 3
    assert page.shape[1] < 2 * 100 + 20
    below = page[dark.nonzero()[0].max() + 1 :]
    assert (below < 100).any()


def test_long_captions_are_broken_into_lines_below_their_own_picture():
    picture = np.full((50, 300, 3), 40, np.uint8)
    words = "a caption that is wider than the picture " * 3

    page = side_by_side([picture] * 2, [words, "short\nlines"], columns=2)

    below = (page[60:] < 128).any(axis=2)
    assert page.shape[0] > side_by_side([picture], ["short"]).shape[0] + 2 * 11
    assert below[:, :308].any()
    assert not below[:, 308:312].any()
    assert below[:, 312:].any()


@pytest.mark.parametrize("caption", ["", "a\n\nb"])
def test_captions_may_be_empty(caption):
    page = side_by_side([np.zeros((2, 1, 3), np.uint8)], [caption])

    assert page.shape[2] == 3


def test_pictures_without_captions_are_refused():
    with pytest.raises(
        ValueError, match="1 pictures and 0 captions; expected one caption per picture"
    ):
        side_by_side([np.zeros((2, 2, 3), np.uint8)], [])
