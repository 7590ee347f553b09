from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import factories
from factories import BUS, CAR, PERSON, ROAD, SKY, TREE, panoptic_map, segment
from jsisnet.data.transforms import PADDING, TransformConfig, resize, transform
from jsisnet.formats.dataset import Sample
from jsisnet.panoptic import VOID, PanopticMap, resize_ids

MIRROR = TransformConfig(size=(8, 12), hflip=1.0)
STILL = TransformConfig(size=(8, 12), hflip=0.0)
RED = (250, 0, 0)


def random(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(size=(8, 12), seed=0):
    """Return random colours, and a map of a sky with a car of a few random pixels."""
    image = np.random.default_rng(seed).integers(256, size=(*size, 3), dtype=np.uint8)
    ids = (image[..., 0] > 200).astype(np.int32) + 1
    return Sample(
        image=image, panoptic=PanopticMap(ids, (segment(SKY), segment(CAR))), image_id="noise"
    )


def red_car(size, box):
    """Return a black photo with a red car that fills a box."""
    x0, y0, x1, y1 = box
    image = np.zeros((*size, 3), np.uint8)
    image[y0:y1, x0:x1] = RED
    ids = np.ones(size, np.int32)
    ids[y0:y1, x0:x1] = 2
    return Sample(image=image, panoptic=PanopticMap(ids, (segment(SKY), segment(CAR))), image_id=1)


def void(sample):
    return sample.panoptic.ids == VOID


def same(first, second):
    return (
        np.array_equal(first.image, second.image)
        and np.array_equal(first.panoptic.ids, second.panoptic.ids)
        and first.panoptic.segments == second.panoptic.segments
    )


def test_flipping_twice_changes_nothing():
    sample = noise()

    once = transform(sample, MIRROR, random())

    assert not same(once, sample)
    assert same(transform(once, MIRROR, random()), sample)


def test_flipping_swaps_left_and_right():
    sample = red_car((8, 12), box=(1, 2, 4, 7))

    mirrored = transform(sample, MIRROR, random())

    assert mirrored.panoptic.boxes()[1].tolist() == [8, 2, 11, 7]


def test_a_flipped_photo_has_flipped_classes():
    sample = replace(red_car((8, 12), box=(1, 2, 4, 7)), unlabelled=frozenset({CAR, BUS}))
    partners = [BUS, CAR, PERSON, SKY, TREE, ROAD]

    mirrored, still = (transform(sample, config, random(), partners) for config in (MIRROR, STILL))

    sky_and_car = (segment(SKY), segment(CAR))
    assert mirrored.panoptic.segments == sky_and_car
    assert mirrored.unlabelled == {CAR, PERSON}
    assert same(still, sample)
    assert still.unlabelled == {CAR, BUS}


def test_flipping_swaps_left_and_right_classes_and_flipping_twice_restores_them():
    sample = red_car((8, 12), box=(1, 2, 4, 7))
    partners = [PERSON, BUS, CAR, SKY, ROAD, TREE]

    once = transform(sample, MIRROR, random(), partners)

    assert once.panoptic.segments == (segment(SKY), segment(BUS))
    assert once.panoptic.boxes()[1].tolist() == [8, 2, 11, 7]
    assert same(transform(once, MIRROR, random(), partners), sample)


def test_half_of_the_photos_are_flipped():
    config = TransformConfig(size=(8, 12))
    sample = noise()

    still = sum(same(transform(sample, config, random(seed)), sample) for seed in range(400))

    assert 160 < still < 240


def test_a_photo_of_the_right_size_stays_as_it_is():
    sample = noise()

    assert same(transform(sample, STILL, random()), sample)


def test_the_photo_is_resized_to_the_input_whatever_its_aspect():
    sample = red_car((40, 20), box=(5, 10, 10, 30))

    resized = transform(sample, TransformConfig(size=(8, 12), hflip=0.0), random())

    assert resized.image.shape == (8, 12, 3)
    assert resized.panoptic.boxes()[1].tolist() == [3, 2, 6, 6]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    keep_aspect=st.booleans(),
    scales=st.lists(st.floats(0.3, 3), min_size=2, max_size=2).map(sorted),
    height=st.integers(20, 150),
    width=st.integers(20, 150),
)
def test_image_and_map_move_together(seed, keep_aspect, scales, height, width):
    box = (width // 4, height // 3, width // 4 + width // 2, height // 3 + height // 2)
    config = TransformConfig(
        size=(64, 48), min_scale=scales[0], max_scale=scales[1], keep_aspect=keep_aspect
    )

    moved = transform(red_car((height, width), box), config, random(seed))

    assert moved.image.shape[:2] == moved.panoptic.size == (64, 48)
    red = (moved.image[..., 0] > RED[0] / 2) & (moved.image[..., 1] < PADDING / 2)
    car = moved.panoptic.labels() == CAR
    edges = 2 * (64 + 48)
    assert (red != car).sum() <= edges
    assert np.array_equal(void(moved), (moved.image == PADDING).all(2))


def test_a_photo_below_scale_1_is_padded_with_grey_void():
    config = TransformConfig(size=(8, 12), min_scale=0.5, max_scale=0.5)

    placed = transform(red_car((4, 6), box=(0, 0, 6, 4)), config, random())

    assert (~void(placed)).sum() == 4 * 6
    assert np.unique(placed.image[void(placed)]).tolist() == [PADDING]
    assert placed.image[~void(placed)].mean(0).tolist() == list(RED)


def test_a_photo_above_scale_1_is_cut():
    config = TransformConfig(size=(8, 12), min_scale=2.0, max_scale=2.0, hflip=0.0)
    sample = noise((8, 12))

    cut = transform(sample, config, random())

    assert not void(cut).any()
    windows = [
        resize_ids(sample.panoptic.ids[y : y + 4, x : x + 6], (8, 12))
        for y in range(5)
        for x in range(7)
    ]
    assert any(np.array_equal(cut.panoptic.ids, window) for window in windows)


def test_every_part_of_the_photo_is_used():
    config = TransformConfig(size=(1, 4), min_scale=2.0, max_scale=2.0, hflip=0.0)
    one_segment_per_column = PanopticMap(
        np.arange(1, 9, dtype=np.int32)[None], tuple(segment(CAR, score=i / 8) for i in range(8))
    )
    image = np.zeros((1, 8, 3), np.uint8)
    sample = Sample(image=image, panoptic=one_segment_per_column, image_id=1)

    starts = {
        transform(sample, config, random(seed)).panoptic.segments[0].score * 8
        for seed in range(100)
    }

    assert starts == {0, 1, 2, 3, 4}


def test_scales_are_drawn_between_the_limits_and_halving_is_as_likely_as_doubling():
    config = TransformConfig(size=(64, 64), min_scale=0.25, max_scale=1.0)
    sample = red_car((64, 64), box=(0, 0, 64, 64))

    sides = [np.sqrt((~void(transform(sample, config, random(seed)))).sum()) for seed in range(200)]

    assert 16 <= min(sides) < 18
    assert 60 < max(sides) <= 64
    assert 75 < sum(side < 32 for side in sides) < 125


def test_with_kept_aspect_scale_1_fits_into_the_input():
    config = TransformConfig(size=(8, 12), keep_aspect=True)

    placed = transform(red_car((20, 20), box=(0, 0, 20, 20)), config, random())

    x0, y0, x1, y1 = placed.panoptic.boxes()[0].tolist()
    assert (x1 - x0, y1 - y0) == (8, 8)


def test_segments_that_vanish_are_dropped_and_the_others_renumbered():
    ids = np.ones((40, 40), np.int32)
    ids[0, 0] = 2
    ids[20:] = 3
    segments = (segment(SKY), segment(PERSON), segment(CAR))
    image = np.zeros((40, 40, 3), np.uint8)
    sample = Sample(image=image, panoptic=PanopticMap(ids, segments), image_id=1)

    small = transform(sample, TransformConfig(size=(4, 4)), random())

    assert small.panoptic.segments == (segment(SKY), segment(CAR))
    assert small.panoptic.ids.tolist() == [[1] * 4] * 2 + [[2] * 4] * 2


def test_a_photo_without_segments_is_valid():
    panoptic = panoptic_map([[0, 0], [0, 0]])
    sample = Sample(image=np.zeros((2, 2, 3), np.uint8), panoptic=panoptic, image_id=1)

    moved = transform(sample, TransformConfig(size=(5, 7), max_scale=2.0), random())

    assert moved.panoptic.segments == ()
    assert moved.panoptic.size == (5, 7)


@pytest.mark.parametrize("size", [(1, 1), (1, 1000), (1000, 1)])
@pytest.mark.parametrize("keep_aspect", [True, False])
def test_photos_of_extreme_shape_fit(size, keep_aspect):
    config = TransformConfig(size=(8, 12), min_scale=0.3, max_scale=3.0, keep_aspect=keep_aspect)
    sample = red_car(size, box=(0, 0, 1, 1))

    sizes = {transform(sample, config, random(seed)).image.shape for seed in range(20)}

    assert sizes == {(8, 12, 3)}


VARIED = TransformConfig(
    size=(8, 12),
    min_scale=0.5,
    max_scale=2.0,
    keep_aspect=True,
    brightness=0.4,
    contrast=0.4,
    saturation=0.4,
    hue=0.1,
    grayscale=0.2,
)


def test_the_generator_alone_decides():
    sample = noise((20, 30))

    assert same(transform(sample, VARIED, random(1)), transform(sample, VARIED, random(1)))
    assert not same(transform(sample, VARIED, random(1)), transform(sample, VARIED, random(2)))


def test_colour_jitter_moves_no_pixels():
    plain = TransformConfig(size=(8, 12), min_scale=0.5, max_scale=2.0, keep_aspect=True)
    sample = noise((20, 30))

    moved, varied = (transform(sample, config, random(3)) for config in (plain, VARIED))

    assert np.array_equal(moved.panoptic.ids, varied.panoptic.ids)
    assert not np.array_equal(moved.image, varied.image)


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue"])
def test_each_colour_setting_changes_the_photo(name):
    config = TransformConfig(size=(8, 12), hflip=0.0, **{name: 0.5})

    assert not np.array_equal(transform(noise(), config, random()).image, noise().image)


def test_brightness_is_a_factor():
    config = TransformConfig(size=(8, 12), hflip=0.0, brightness=0.5)
    sample = red_car((8, 12), box=(0, 0, 12, 8))

    reds = [transform(sample, config, random(s)).image[0, 0, 0].item() for s in range(100)]

    assert 125 <= min(reds) < 140
    assert max(reds) == 255


def test_a_grey_photo_has_no_colours():
    config = TransformConfig(size=(8, 12), hflip=0.0, grayscale=1.0)

    image = transform(noise(), config, random()).image

    assert (image == image[..., :1]).all()


def test_the_photo_in_a_cache_is_not_written_to():
    sample = noise((20, 30))
    image, ids = sample.image.copy(), sample.panoptic.ids.copy()

    for seed in range(20):
        moved = transform(sample, VARIED, random(seed))
        moved.image[:] = 0

    assert np.array_equal(sample.image, image)
    assert np.array_equal(sample.panoptic.ids, ids)


def test_ids_are_taken_at_the_centres_of_the_new_pixels():
    ids = np.arange(6, dtype=np.int32)[None]

    assert resize_ids(ids, (1, 2)).tolist() == [[1, 4]]
    assert resize_ids(ids, (2, 3)).tolist() == [[1, 3, 5]] * 2
    assert resize_ids(ids[:, :2], (1, 4)).tolist() == [[0, 0, 1, 1]]


def test_photos_are_averaged_when_they_shrink():
    stripes = torch.tensor([0, 200], dtype=torch.uint8).repeat(3, 8, 8)

    assert (resize(stripes, (4, 4)).float() - 100).abs().max() < 20


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"size": (0, 4)}, "size is"),
        ({"min_scale": 0.0}, "positive min_scale"),
        ({"min_scale": 2.0, "max_scale": 1.0}, "not above max_scale"),
        ({"hflip": 1.5}, "hflip is 1.5"),
        ({"hue": 0.6}, "expected 0 to 0.5"),
        ({"contrast": -0.1}, "contrast is -0.1"),
    ],
)
def test_settings_outside_their_range_are_refused(settings_, message):
    with pytest.raises(ValueError, match=message):
        TransformConfig(**settings_)


def small_street(number):
    panoptic = factories.tiny_map(number)
    image = np.zeros((*panoptic.size, 3), np.uint8)
    sample = Sample(image=image, panoptic=panoptic, image_id=number)
    return transform(sample, TransformConfig(size=(32, 48)), random()).panoptic


def test_a_crowd_stays_a_crowd():
    assert [info.iscrowd for info in small_street(2).segments].count(True) == 1


def test_void_stays_void():
    assert (small_street(4).ids == VOID).mean() == pytest.approx(1 / 16, abs=0.01)


def test_unlabelled_classes_stay_known():
    sample = replace(noise(), unlabelled=frozenset([PERSON]), semantic=False)

    varied = transform(sample, MIRROR, random())

    assert (varied.unlabelled, varied.semantic) == ({PERSON}, False)
