from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from jsisnet.visualize.frames import Frame, _find_room, _overlap, draw_frames

RED, GREEN = (255, 0, 0), (0, 255, 0)


def drawn(*frames, size=(12, 10)):
    """Pixels of a black picture, given by width and height, with frames."""
    canvas = Image.new("RGB", size)
    draw_frames(canvas, frames)
    return np.array(canvas)


def frame(*corners, color=RED, name="", **more):
    return Frame(corners=corners, color=color, name=name, **more)


def rows_of(pixels, color):
    """The picture in letters: x where a pixel has the color."""
    return ["".join("x" if x else "." for x in row) for row in (pixels == color).all(axis=2)]


def test_a_frame_lies_around_the_pixels_of_its_box():
    pixels = drawn(frame(3, 2, 6, 4), size=(9, 6))

    assert rows_of(pixels, RED) == [
        ".........",
        "..xxxxx..",
        "..x...x..",
        "..x...x..",
        "..xxxxx..",
        ".........",
    ]


def test_at_the_edges_of_the_picture_a_frame_stays_inside():
    pixels = drawn(frame(0, 0, 5, 4), size=(5, 4))

    assert rows_of(pixels, RED) == ["xxxxx", "x...x", "x...x", "xxxxx"]


def test_a_frame_may_have_gaps():
    pixels = drawn(frame(1, 1, 19, 5, dashed=True), size=(20, 6))

    assert rows_of(pixels, RED)[0] == "xxxx....xxxx....xxxx"


def test_lines_grow_with_the_picture():
    pixels = drawn(frame(400, 400, 402, 402), size=(800, 800))

    assert rows_of(pixels, RED)[401].count("x") == 4


def test_a_name_stands_beside_its_box_on_a_dark_ground_of_its_colour():
    pixels = drawn(frame(40, 30, 60, 50, name="car"), size=(100, 80))

    assert ((pixels == (85, 0, 0)).all(axis=2).nonzero()[0] < 30).all()
    assert (pixels == 255).all(axis=2).any()
    assert not pixels[30:50, 40:60].any()


def test_names_overlap_neither_each_other_nor_small_boxes_nor_the_edges():
    taken = boxes = [(x, y, x + 4, y + 4) for x in (0, 70, 116) for y in (0, 20, 56)]
    for box in boxes:
        place = _find_room(box, (40, 13), (120, 60), taken)
        taken = taken if place is None else [*taken, place]

    assert len(taken) > len(boxes) + 4
    assert not any(_overlap(one, other) for one, other in combinations(taken, 2))
    assert all(x0 >= 0 <= y0 and x1 <= 120 and y1 <= 60 for x0, y0, x1, y1 in taken)


def test_a_name_without_room_is_left_out():
    bare, named = (drawn(frame(4, 4, 6, 6, name=name), size=(10, 10)) for name in ("", "bicycle"))

    assert (bare == named).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (30, 1)])
def test_pictures_of_any_size_get_frames(size):
    assert drawn(frame(0, 0, 1, 1, name="car"), size=size)[0, 0].tolist() == list(RED)


def test_the_frame_drawn_last_lies_above():
    pixels = drawn(frame(2, 2, 5, 5), frame(2, 2, 5, 5, color=GREEN))

    assert not (pixels == RED).all(axis=2).any()
