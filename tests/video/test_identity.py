"""Ids keep to their objects in made-up clips whose truth is known."""

import numpy as np
import pytest
from moving_shapes import Shape, drawn, identity_figures

from jsisnet.panoptic import PanopticMap, Segment
from jsisnet.video.identity import Identities, IdentityConfig, carried

CAR, PERSON, GRASS, WALL = range(4)
SIZE = (60, 100)


def followed(shapes, frames, config=None, size=SIZE):
    """Return the object and the id of each thing, frame by frame, and all ids of stuff."""
    identities = Identities(config)
    sightings, stuff = [], []
    for number in range(frames):
        frame = drawn(shapes, number, size, GRASS)
        ids = identities.update(frame.panoptic)
        for segment, thing, id_ in zip(frame.panoptic.segments, frame.truth, ids, strict=True):
            (sightings.append((thing, id_)) if segment.isthing else stuff.append(id_))
    return sightings, stuff


def test_things_that_cross_keep_their_ids():
    shapes = [
        Shape(CAR, (30, 5), (0, 2), (14, 14)),
        Shape(CAR, (33, 95), (0, -2), (14, 14)),
        Shape(CAR, (2, 50), (1, 0), (10, 10)),
    ]

    sightings, stuff = followed(shapes, 45)

    figures = identity_figures(sightings)
    assert (figures.right, figures.switches, figures.shared) == (1.0, 0, 0)
    assert len(set(stuff)) == 1


def test_a_thing_hidden_behind_a_wall_has_its_id_again():
    wall = Shape(WALL, (30, 50), (0, 0), (80, 24), isthing=False)
    shapes = [Shape(CAR, (30, 10), (0, 3), (12, 14)), wall]

    sightings, _ = followed(shapes, 28)

    assert len(sightings) < 28
    assert {id_ for _, id_ in sightings} == {sightings[0][1]}


def test_a_thing_that_leaves_and_another_that_enters_have_two_ids():
    shapes = [
        Shape(CAR, (30, 80), (0, 4), (12, 14)),
        Shape(CAR, (30, -30), (0, 4), (12, 14)),
    ]

    sightings, _ = followed(shapes, 30)

    figures = identity_figures(sightings)
    assert (figures.right, figures.switches, figures.shared) == (1.0, 0, 0)


def test_a_fast_thing_without_overlap_is_followed_by_its_motion():
    sightings, _ = followed([Shape(CAR, (30, 4), (0, 6), (8, 8))], 14)

    assert identity_figures(sightings).switches == 0


def test_classes_are_never_mixed():
    shapes = [Shape(CAR, (30, 30), hidden=frozenset([1])), Shape(PERSON, (30, 30), hidden={0, 2})]

    sightings, _ = followed(shapes, 3)

    assert sightings[0] == sightings[2]
    assert sightings[0][1] != sightings[1][1]


@pytest.mark.parametrize(("missed", "ids"), [(4, 1), (5, 2)])
def test_a_track_waits_for_as_many_frames_as_it_is_kept(missed, ids):
    shape = Shape(CAR, (30, 30), hidden=frozenset(range(3, 3 + missed)))

    sightings, _ = followed([shape], 12, IdentityConfig(keep=4))

    assert len({id_ for _, id_ in sightings}) == ids


def test_ids_count_from_one_and_are_never_used_again():
    shapes = [Shape(CAR, (30, 20 * n), hidden=frozenset({*range(9)} - {n})) for n in range(5)]

    sightings, stuff = followed(shapes, 5, IdentityConfig(keep=0, reach=0.0))

    assert stuff == [1] * 5
    assert sightings == [(n, n + 2) for n in range(5)]


def test_each_thing_gets_the_track_that_fits_best():
    before = drawn([Shape(CAR, (30, 30)), Shape(CAR, (30, 38))], 0, SIZE, GRASS)
    after = drawn([Shape(CAR, (30, 37)), Shape(CAR, (30, 31))], 0, SIZE, GRASS)
    identities = Identities()

    first = identities.update(before.panoptic)
    second = identities.update(after.panoptic)

    assert second == (first[0], first[2], first[1])


def test_an_empty_map_and_one_without_pixels_of_a_segment_are_ordinary():
    identities = Identities()

    assert identities.update(PanopticMap(np.zeros((0, 4), np.int32), ())) == ()
    assert identities.update(PanopticMap(np.zeros((4, 4), np.int32), ())) == ()
    things = (Segment(label=CAR, isthing=True), Segment(label=GRASS, isthing=False))
    assert len(set(identities.update(PanopticMap(np.zeros((4, 4), np.int32), things)))) == 2


def test_a_carried_map_is_that_of_the_later_frame():
    shapes = [Shape(CAR, (30, 20), (1, 4)), Shape(PERSON, (20, 60), (0, -3), (20, 10))]
    identities = Identities()
    for number in range(4):
        last = drawn(shapes, number, SIZE, GRASS)
        ids = identities.update(last.panoptic)

    moved, kept = carried(last.panoptic, [identities.displacement(each) for each in ids], 2.0)

    assert kept == [0, 1, 2]
    assert (moved.ids == drawn(shapes, 5, SIZE, GRASS).panoptic.ids).mean() > 0.99


def test_what_has_left_the_frame_is_not_carried():
    frame = drawn([Shape(CAR, (30, 90), (0, 9))], 0, SIZE, GRASS)

    moved, kept = carried(frame.panoptic, [(0.0, 0.0), (0.0, 9.0)], 4.0)

    assert (kept, len(moved.segments)) == ([0], 1)
    assert (moved.ids == 1).all()


@pytest.mark.parametrize(
    "settings", [{"min_iou": 1.5}, {"reach": -1.0}, {"reach": 11.0}, {"keep": -1}, {"keep": 10**6}]
)
def test_settings_out_of_their_ranges_are_refused(settings):
    with pytest.raises(ValueError, match=f"{next(iter(settings))} is .*expected"):
        IdentityConfig(**settings)
