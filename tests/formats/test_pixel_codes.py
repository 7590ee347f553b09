import numpy as np
import pytest
from PIL import Image

import factories
from factories import CAR, CATEGORIES, PERSON, ROAD, SKY, panoptic_map, segment
from jsisnet.categories import UNKNOWN, Categories, Category
from jsisnet.formats import class_maps, pixel_codes
from jsisnet.formats.class_maps import ClassValues
from jsisnet.formats.pixel_codes import SegmentKey, decode, instance_numbers, lookup
from jsisnet.formats.records import drop_unknown

MEANINGS = {
    0: None,
    7: SegmentKey(label=ROAD),
    8: SegmentKey(label=ROAD),
    70_000: SegmentKey(label=CAR, instance=1),
    2**33: SegmentKey(label=CAR, iscrowd=True),
}


def drawn_from(values):
    return decode(values.shape, values.__getitem__, MEANINGS.__getitem__, CATEGORIES)


def test_values_of_one_meaning_are_one_segment_and_none_is_void():
    values = np.array([[0, 7, 8], [70_000, 2**33, 7]])

    panoptic = drawn_from(values)

    assert panoptic.ids.tolist() == [[0, 1, 1], [2, 3, 1]]
    assert panoptic.segments == (segment(ROAD), segment(CAR), segment(CAR, iscrowd=True))


def test_strips_make_no_difference(monkeypatch):
    values = np.random.default_rng(0).choice(list(MEANINGS), (37, 5))
    whole = drawn_from(values)

    monkeypatch.setattr(pixel_codes, "_STRIP", 10)
    inparts = drawn_from(values)

    assert whole.areas().sum() == (values != 0).sum()
    for i, info in enumerate(inparts.segments, 1):
        same = whole.segments.index(info) + 1
        assert ((inparts.ids == i) == (whole.ids == same)).all()


def test_a_map_without_pixels_has_no_segments():
    assert drawn_from(np.zeros((0, 4), int)).segments == ()


def test_a_table_is_looked_up_in_its_own_type():
    values = lookup(np.array([5, 65_535], np.uint16), np.array([[1, 0]], np.int32))

    assert values.dtype == np.uint16
    assert values.tolist() == [[65_535, 5]]


def test_things_are_counted_within_their_class_and_crowds_are_not():
    kinds = [segment(CAR), segment(ROAD), segment(PERSON), segment(CAR)]
    panoptic = panoptic_map([[1, 2, 3, 4]], *kinds, segment(CAR, iscrowd=True))

    assert instance_numbers(panoptic) == [1, 0, 1, 2, 0]


@pytest.mark.parametrize(
    ("kept", "ids"), [((CAR, ROAD), [[1, 2, 0]]), ((ROAD,), [[0, 1, 0]]), ((), [[0, 0, 0]])]
)
def test_segments_of_unknown_classes_become_void(kept, ids):
    labels = [kept.index(c) if c in kept else UNKNOWN for c in range(len(CATEGORIES))]

    panoptic = drop_unknown(panoptic_map([[1, 2, 0]], segment(CAR), segment(ROAD)), labels)

    assert panoptic.ids.tolist() == ids
    assert [s.label for s in panoptic.segments] == list(range(len(kept)))


ALL = slice(None)
SKY_COLOR, ROAD_COLOR, BLACK = (70, 130, 180), (128, 64, 128), (0, 0, 0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.png"


def labels(path, categories=CATEGORIES):
    found = class_maps.read_class_map(path, ClassValues.of(categories))
    return [[found.label(code) for code in row] for row in found.codes(ALL).tolist()]


def colored(path, *colors):
    Image.fromarray(np.array([colors], np.uint8)).save(path)


def colors_of(*colors):
    return Categories(
        tuple(
            Category(id=i, name=f"class {i}", isthing=False, color=color)
            for i, color in enumerate(colors, 1)
        )
    )


def test_values_are_ids_of_classes(path):
    Image.fromarray(np.array([[92, 100], [0, 255]], np.uint8)).save(path)

    assert labels(path) == [[SKY, ROAD], [None, None]]


def test_of_a_palette_the_positions_count_and_not_the_colors(path):
    picture = Image.fromarray(np.array([[92, 3, 0]], np.uint8)).convert("P")
    picture.putpalette([*BLACK, *SKY_COLOR, *SKY_COLOR, *ROAD_COLOR] * 30)
    picture.save(path)

    with Image.open(path) as stored:
        assert stored.mode == "P"
    assert labels(path) == [[SKY, CAR, None]]


def test_colors_are_those_of_the_classes_and_black_is_void(path):
    colored(path, SKY_COLOR, ROAD_COLOR, BLACK)

    assert labels(path) == [[SKY, ROAD, None]]


def test_black_is_a_class_if_one_has_it(path):
    colored(path, BLACK)

    assert labels(path, colors_of((0, 0, 1), BLACK)) == [[1]]


def test_an_unknown_color_is_named_beside_the_nearest_one(path):
    colored(path, (70, 130, 181))

    message = "no category has the colour 70,130,181; the nearest is 70,130,180, 'sky'"
    with pytest.raises(ValueError, match=message):
        labels(path)


def test_the_nearest_one_may_be_void(path):
    colored(path, (0, 1, 0))

    with pytest.raises(ValueError, match="the nearest is 0,0,0, void"):
        labels(path)


@pytest.mark.parametrize(
    ("categories", "message"),
    [
        (
            colors_of((1, 2, 3), (1, 2, 3)),
            r"a\.png: in colour, but 'class 1' and 'class 2' share the colour 1,2,3",
        ),
        (colors_of(None, None), r"a\.png: in colour, but none of the categories has a 'color'"),
    ],
)
def test_ambiguous_colors_are_refused(categories, message, path):
    colored(path, (1, 2, 3))

    with pytest.raises(ValueError, match=message):
        labels(path, categories)


def test_colors_with_alpha_are_refused(path):
    Image.fromarray(np.zeros((1, 1, 4), np.uint8)).save(path)

    with pytest.raises(ValueError, match=r"a\.png: 4 channels; expected one"):
        labels(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"b\.png: can't be read"):
        class_maps.read_class_map(tmp_path / "b.png", ClassValues.of(factories.CATEGORIES))
