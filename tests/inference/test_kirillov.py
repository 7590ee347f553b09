import numpy as np
import pytest

import factories
from factories import BUS, CAR, PERSON, ROAD, SKY
from jsisnet.inference.kirillov import KirillovConfig, combine, merge
from jsisnet.inference.merge import Instances

WHOLE = (slice(None), slice(None))
ANY_AREA = KirillovConfig(min_stuff_area=0.0)


def region(label, pixels, **more):
    """Return a region of a one-row image, given as a string with a mark for each of its pixels."""
    mask = np.array([[mark == "#" for mark in pixels]])
    return factories.segment(label, **more), (WHOLE, mask)


def combined(things, stuff, config=ANY_AREA, width=8):
    panoptic = combine(things, stuff, size=(1, width), config=config)
    return panoptic.ids[0].tolist(), [segment.label for segment in panoptic.segments]


def test_the_better_instance_keeps_the_pixels_that_both_claim():
    things = [region(CAR, "####...."), region(BUS, "...#####")]

    assert combined(things, []) == ([1, 1, 1, 1, 2, 2, 2, 2], [CAR, BUS])


def test_an_instance_is_dropped_only_if_more_than_half_of_it_is_taken():
    half = [region(CAR, "####...."), region(BUS, "..####..")]
    more = [region(CAR, "####...."), region(BUS, ".#####.."), region(PERSON, ".####...")]

    assert combined(half, []) == ([1, 1, 1, 1, 2, 2, 0, 0], [CAR, BUS])
    assert combined(more, []) == ([1, 1, 1, 1, 0, 0, 0, 0], [CAR])


def test_a_dropped_instance_takes_nothing_from_the_next():
    things = [region(CAR, "###....."), region(BUS, "####...."), region(PERSON, "...##...")]

    assert combined(things, []) == ([1, 1, 1, 2, 2, 0, 0, 0], [CAR, PERSON])


def test_the_largest_overlap_is_a_setting():
    things = [region(CAR, "####...."), region(BUS, "..##....")]
    tolerant = KirillovConfig(max_overlap=1.0)
    strict = KirillovConfig(max_overlap=0.0)

    assert combined(things, [], tolerant) == ([1, 1, 1, 1, 0, 0, 0, 0], [CAR])
    assert combined(things[::-1], [], tolerant) == ([2, 2, 1, 1, 0, 0, 0, 0], [BUS, CAR])
    assert combined(things[::-1], [], strict) == ([0, 0, 1, 1, 0, 0, 0, 0], [BUS])


def test_an_instance_without_a_pixel_is_left_out():
    assert combined([region(CAR, "........"), region(BUS, "#.......")], []) == (
        [1] + 7 * [0],
        [BUS],
    )


def test_stuff_gets_what_things_leave_and_the_first_one_wins():
    stuff = [region(SKY, "#####..."), region(ROAD, "...#####")]

    assert combined([region(CAR, "##......")], stuff) == (
        [1, 1, 2, 2, 2, 3, 3, 3],
        [CAR, SKY, ROAD],
    )


def test_stuff_is_judged_by_what_is_left_of_it_and_small_stuff_becomes_void():
    things = [region(CAR, "##......")]
    stuff = [region(SKY, "####...."), region(ROAD, "....####")]

    assert combined(things, stuff, KirillovConfig(min_stuff_area=2.0))[1] == [CAR, SKY, ROAD]
    assert combined(things, stuff, KirillovConfig(min_stuff_area=3.0)) == (
        [1, 1, 0, 0, 2, 2, 2, 2],
        [CAR, ROAD],
    )


def test_pixels_of_small_stuff_are_free_for_the_next_region():
    stuff = [region(SKY, "##......"), region(ROAD, "########")]

    assert combined([], stuff, KirillovConfig(min_stuff_area=3.0)) == (8 * [1], [ROAD])


def test_no_things_and_no_stuff_are_an_empty_map():
    assert combined([], []) == (8 * [0], [])


def test_a_window_places_a_mask():
    mask = (slice(1, 2), slice(1, 3)), np.array([[True, False]])

    panoptic = combine([(factories.segment(CAR), mask)], [], size=(2, 3), config=ANY_AREA)

    assert panoptic.ids.tolist() == [[0, 0, 0], [0, 1, 0]]


def outputs(scores, labels, boxes, semantic):
    """Outputs of a network for a one-row image; the masks fill their boxes."""
    instances = Instances(
        boxes=np.float32(boxes),
        labels=np.array(labels),
        scores=np.float32(scores),
        masks=np.ones((len(labels), 1, 1), np.float32),
    )
    return instances, np.moveaxis(np.eye(len(factories.CATEGORIES))[np.array([semantic])], -1, 0)


def merged(instances, semantic, size=(1, 8), **settings):
    panoptic = merge(
        instances,
        semantic,
        frame=(1, 8),
        size=size,
        stuff_labels=factories.CATEGORIES.stuff_labels,
        config=KirillovConfig(min_stuff_area=1.0, **settings),
    )
    names = [None, *(segment.label for segment in panoptic.segments)]
    return [names[number] for number in panoptic.ids[0]]


def test_the_outputs_of_a_network_are_merged_by_score():
    found = outputs(
        [0.6, 0.9, 0.4], [CAR, BUS, CAR], [[0, 0, 3, 1], [2, 0, 4, 1], [6, 0, 8, 1]], 8 * [SKY]
    )

    assert merged(*found) == [CAR, CAR, BUS, BUS, SKY, SKY, SKY, SKY]
    assert merged(*found, max_overlap=0.3) == [SKY, SKY, BUS, BUS, SKY, SKY, SKY, SKY]
    assert merged(found[0], None) == [CAR, CAR, BUS, BUS, None, None, None, None]


def test_pixels_of_things_without_an_instance_are_void_or_take_the_best_stuff():
    instances, semantic = outputs(
        [0.9], [CAR], [[0, 0, 1, 1]], [CAR, CAR, CAR, SKY, SKY, ROAD, ROAD, ROAD]
    )
    semantic[ROAD, 0, :3] = 0.5

    assert merged(instances, semantic) == [CAR, None, None, SKY, SKY, ROAD, ROAD, ROAD]
    assert merged(instances, semantic, replace_things=True) == [
        CAR,
        ROAD,
        ROAD,
        SKY,
        SKY,
        ROAD,
        ROAD,
        ROAD,
    ]


def test_the_outputs_are_merged_at_the_size_of_the_image():
    instances, semantic = outputs([0.9], [CAR], [[0, 0, 4, 1]], 8 * [SKY])

    assert merged(instances, semantic, size=(1, 16)) == 8 * [CAR] + 8 * [SKY]


def test_an_instance_with_a_stuff_label_is_refused():
    with pytest.raises(ValueError, match="stuff label"):
        merged(*outputs([0.9], [SKY], [[0, 0, 4, 1]], 8 * [SKY]))
