import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from jsisnet.categories import Categories, Category
from jsisnet.panoptic import PanopticMap, Segment
from jsisnet.visualize.overlay import Style, draw, side_by_side

SKY, ROAD, CAR = range(3)
RED, BLUE = (200, 30, 30), (30, 30, 200)
CATEGORIES = Categories(
    (
        Category(id=7, name="sky-other-merged", isthing=False, color=BLUE),
        Category(id=8, name="road", isthing=False),
        Category(id=9, name="car", isthing=True, color=RED),
    )
)
PAINT = Style(names=False, outline=0.0, opacity=1.0, stuff=1.0)


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


def test_segments_have_the_colours_of_their_classes():
    panoptic = halves()

    picture = draw(grey(panoptic), panoptic, CATEGORIES, PAINT)

    assert [tuple(pixel) for pixel in picture[30].tolist()] == [BLUE] * 60 + [RED] * 60


@pytest.mark.parametrize("opacity", [0.0, 0.1, 0.4, 0.77, 1.0])
def test_colours_are_blended_with_the_photo_by_their_opacity(opacity):
    panoptic = halves(256, 256)
    image = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 256, axis=1).repeat(3, axis=2)

    picture = draw(image, panoptic, CATEGORIES, replace(PAINT, opacity=opacity, stuff=0.5)).astype(
        float
    )

    for column, color, share in ((0, BLUE, opacity / 2), (255, RED, opacity)):
        expected = (1 - share) * image[:, column] + share * np.array(color)
        assert abs(picture[:, column] - expected).max() <= 1


def test_opacities_beyond_one_are_refused():
    with pytest.raises(ValueError, match=r"opacity is 40\.0; expected 0 to 1"):
        Style(opacity=40.0)


@pytest.mark.parametrize(("brightness", "lighter"), [(20, True), (250, False)])
def test_outlines_are_shades_of_their_segments_that_stand_out(brightness, lighter):
    panoptic = halves()
    style = Style(names=False, opacity=0.2, outline=1 / 30)

    picture = draw(grey(panoptic, brightness), panoptic, CATEGORIES, style).astype(int)

    for border, inner, color in ((59, 30, BLUE), (60, 90, RED)):
        line, fill = picture[30, border], picture[30, inner]
        assert (line.mean() > fill.mean()) == lighter
        assert line.argmax() == np.argmax(color)
        assert line.max() - line.min() > 60


@pytest.mark.parametrize(
    ("side", "width"), [(100, 1.0), (320, 1.0), (640, 2.0), (1600, 5.0), (4000, 12.5)]
)
def test_outlines_grow_with_the_photo(side, width):
    panoptic = halves(side, side)

    with_outline, without = (
        draw(grey(panoptic), panoptic, CATEGORIES, replace(PAINT, outline=outline))[side // 2]
        for outline in (1 / 320, 0.0)
    )

    change = abs(with_outline.astype(float) - without).sum(axis=1)
    halves_of_it = np.split(change, 2)
    painted = sum(half.sum() / half.max() for half in halves_of_it)
    full = min(1, width / 2)
    assert painted * full == pytest.approx(width, rel=0.1)
    assert all(np.count_nonzero(half) <= width for half in halves_of_it)


def test_outlines_of_slanted_borders_are_antialiased():
    rows, columns = np.mgrid[:200, :200]
    panoptic = PanopticMap(np.where(3 * rows > columns, 1, 2).astype(np.int32), (stuff(SKY), car()))

    picture = draw(grey(panoptic), panoptic, CATEGORIES, Style(names=False))

    assert len(np.unique(picture[10:50, 10:190].reshape(-1, 3), axis=0)) > 6


def test_tiny_fragments_have_no_outline():
    ids = np.ones((200, 200), np.int32)
    ids[50:52, 50:52] = ids[100:140, 100:140] = 2
    panoptic = PanopticMap(ids, (stuff(SKY), car()))
    style = Style(names=False)

    changed = draw(grey(panoptic), panoptic, CATEGORIES, style) != draw(
        grey(panoptic), panoptic, CATEGORIES, replace(style, outline=0.0)
    )

    assert not changed[:90, :90].any()
    assert changed[95:145, 95:145].any()


def test_only_the_chosen_classes_are_drawn():
    ids = halves(90, 120).ids.copy()
    ids[60:] = 0
    panoptic = PanopticMap(ids, (stuff(SKY), car(0.9)))
    image = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)

    cars, skies = (
        (draw(image, panoptic, CATEGORIES, Style(only=only)) != image).any(axis=2)
        for only in (("Car",), ("sky",))
    )

    assert not cars[ids != 2].any()
    assert cars[ids == 2].mean() > 0.9
    assert not skies[ids != 1].any()
    assert skies[ids == 1].mean() > 0.9


def test_unknown_classes_are_refused():
    with pytest.raises(ValueError, match="no class is named 'cars'; did you mean 'car'"):
        draw(grey(halves()), halves(), CATEGORIES, Style(only=("cars",)))


@pytest.mark.parametrize("values", [{"outline": math.inf}, {"text": -1.0}, {"text": math.nan}])
def test_impossible_sizes_are_refused(values):
    with pytest.raises(ValueError, match="expected 0 or more"):
        Style(**values)


def test_drawing_leaves_the_photo_as_it_is_and_repeats_exactly():
    panoptic = halves()
    image = grey(panoptic)

    one, other = (draw(image, panoptic, CATEGORIES) for _ in range(2))

    assert (image == 100).all()
    assert (one == other).all()


def test_names_lie_inside_their_segments():
    written = changed_by_names(halves(), Style())

    assert written[:, :60].any()
    assert written[:, 60:].any()
    assert not written[:, 58:61].any()
    assert not written[[0, -1]].any()


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

    assert long > 1.3 * short


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


def test_the_legend_explains_segments_without_a_name_below_the_photo():
    ids = np.ones((60, 120), np.int32)
    ids[20:26, 20:26] = 2
    panoptic = PanopticMap(ids, (stuff(SKY), car(), car()))

    picture = draw(grey(panoptic), panoptic, CATEGORIES, Style(legend=True))

    photo, strip = picture[:60], picture[60:]
    assert (photo == draw(grey(panoptic), panoptic, CATEGORIES)).all()
    assert (strip == RED).all(axis=2).sum() > 40
    assert not (strip == BLUE).all(axis=2).any()


def test_without_unnamed_segments_there_is_no_legend():
    assert draw(grey(halves()), halves(), CATEGORIES, Style(legend=True)).shape == (60, 120, 3)


def test_without_names_the_legend_lists_every_class():
    picture = draw(grey(halves()), halves(), CATEGORIES, Style(legend=True, names=False))

    for color in (RED, BLUE):
        assert (picture[60:] == color).all(axis=2).sum() > 40


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (200, 1), (0, 5), (5, 0), (3, 2)])
@pytest.mark.parametrize("count", [0, 1, 300])
@pytest.mark.parametrize("legend", [False, True])
def test_maps_of_any_size_are_drawn(size, count, legend):
    pixels = np.arange(size[0] * size[1]).reshape(size)
    ids = (pixels % (count + 1)).astype(np.int32)
    panoptic = PanopticMap(ids, (car(0.5),) * count)

    picture = draw(grey(panoptic), panoptic, CATEGORIES, Style(legend=legend))

    assert picture.shape[1:] == (size[1], 3)
    assert len(picture) == size[0] or (legend and len(picture) > size[0])


def test_many_segments_are_drawn():
    ids = np.arange(1, 301, dtype=np.int32).reshape(15, 20).repeat(12, axis=0).repeat(12, axis=1)
    panoptic = PanopticMap(ids, tuple(car(0.5) for _ in range(300)))

    picture = draw(grey(panoptic), panoptic, CATEGORIES, PAINT)

    assert len(np.unique(picture[6::12, 6::12].reshape(-1, 3), axis=0)) > 60


def test_noise_is_drawn():
    ids = np.random.default_rng(0).integers(0, 9, (200, 300), dtype=np.int32)

    picture = draw(np.zeros((200, 300, 3), np.uint8), PanopticMap(ids, (car(),) * 8), CATEGORIES)

    assert picture.any(axis=2).all()


@pytest.mark.parametrize("name", ["x" * 500, "汽车", "سيارة", "\U000f0000", "🚗", "a\nb", " "])
def test_names_in_any_script_and_length_are_written(name):
    categories = Categories((Category(id=7, name=name, isthing=True),))
    panoptic = PanopticMap(np.ones((100, 400), np.int32), (Segment(label=0, isthing=True),))

    bare, named, explained = (
        draw(grey(panoptic), panoptic, categories, style)
        for style in (Style(names=False), Style(), Style(names=False, legend=True))
    )

    assert (bare != named).any()
    assert explained.shape[1] == 400


def test_segments_of_unknown_classes_are_grey():
    panoptic = PanopticMap(np.ones((60, 120), np.int32), (stuff(-1),))

    picture = draw(grey(panoptic, 10), panoptic, CATEGORIES, PAINT)

    assert (picture == 128).all()


def test_large_photos_take_little_memory_besides_the_picture():
    panoptic = halves(2000, 3000)
    image = grey(panoptic)
    draw(image[:90, :90], halves(90, 90), CATEGORIES)  # fills the caches of colours and fonts

    tracemalloc.start()
    draw(image, panoptic, CATEGORIES)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    # The reduced map of the outlines has at most two million pixels, whatever the photo has.
    assert peak < image.nbytes + 32_000_000


def test_labels_beyond_the_categories_are_refused():
    panoptic = PanopticMap(np.ones((2, 2), np.int32), (stuff(3),))

    with pytest.raises(ValueError, match="a segment has label 3; expected a label of the 3"):
        draw(grey(panoptic), panoptic, CATEGORIES)


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
