from itertools import combinations

import numpy as np
import pytest

from jsisnet.visualize.names import Name, legend, place_names, write_names

RED, BLUE = (200, 30, 30), (30, 30, 200)


def rectangle(place):
    return place.top, place.left, place.top + place.height, place.left + place.width


def overlap(one, other):
    a, b = rectangle(one), rectangle(other)
    return max(a[0], b[0]) < min(a[2], b[2]) and max(a[1], b[1]) < min(a[3], b[3])


@pytest.mark.parametrize("factor", [1, 4])
def test_names_do_not_overlap_and_stay_inside_the_picture(factor):
    ids = np.random.default_rng(1).integers(1, 41, (12, 16), dtype=np.int32)
    ids = ids.repeat(40 * factor, axis=0).repeat(40 * factor, axis=1)

    texts = dict.fromkeys(range(1, 41), "a name")

    places = place_names(ids, texts, [16 * factor, 11 * factor]).values()

    assert len(places) > 15
    assert not any(overlap(one, other) for one, other in combinations(places, 2))
    for top, left, bottom, right in map(rectangle, places):
        assert 0 <= top < bottom <= len(ids)
        assert 0 <= left < right <= ids.shape[1]


def test_most_of_a_name_lies_in_its_segment():
    rows, columns = np.mgrid[:240, :320]
    ids = np.where((rows - 120) ** 2 + (columns - 160) ** 2 < 80**2, 2, 1).astype(np.int32)

    places = place_names(ids, {1: "around", 2: "disc"}, [16, 13])

    assert sorted(places) == [1, 2]
    for number, place in places.items():
        top, left, bottom, right = rectangle(place)
        assert (ids[top:bottom, left:right] == number).mean() > 0.85


def test_names_are_in_the_widest_part_of_their_segments():
    ids = np.zeros((100, 300), np.int32)
    ids[40:60] = ids[10:90, 200:280] = 1

    place = place_names(ids, {1: "x"}, [12])[1]

    assert abs(place.left + place.width / 2 - 240) < 20


def test_small_things_get_names_that_reach_beyond_them_and_tiny_ones_none():
    ids = np.ones((100, 200), np.int32)
    ids[40:52, 100:130] = 2
    ids[80:84, 30:34] = 3

    places = place_names(ids, {1: "sky", 2: "bottle", 3: "cup"}, [11])

    assert sorted(places) == [1, 2]


def test_only_segments_with_pixels_and_a_name_have_a_place():
    assert place_names(np.ones((90, 90), np.int32), {2: "sky"}, [11]) == {}


def test_names_are_white_on_a_dark_shade_of_the_colour():
    picture = np.full((60, 120, 3), 255, np.uint8)
    ids = np.ones((60, 120), np.int32)

    written = write_names(picture, ids, {1: Name(text="a name", color=RED)}, [16])

    assert written == {1}
    top, left, bottom, right = rectangle(place_names(ids, {1: "a name"}, [16])[1])
    box = picture[top:bottom, left:right].reshape(-1, 3).astype(int)
    background = box[box.sum(axis=1).argmin()]
    assert background[0] > background[1] + 20
    assert luminance(np.array([255] * 3)) / luminance(background) > 4.5
    assert (box == 255).all(axis=1).any()
    outside = np.ones(picture.shape[:2], bool)
    outside[top:bottom, left:right] = False
    assert (picture[outside] == 255).all()


def luminance(color):
    """Relative luminance of the contrast ratio of WCAG, with its offset."""
    return ((color / 255) ** 2.2) @ [0.2126, 0.7152, 0.0722] + 0.05


def test_legends_wrap():
    entries = [("a class of things", [RED, BLUE]), ("another", [BLUE])]

    wide, narrow = legend(400, entries, 12), legend(150, entries, 12)

    assert wide.shape[1] == 400
    assert len(narrow) > 1.5 * len(wide)
    for strip in (wide, narrow):
        assert (strip == RED).all(axis=2).any()
