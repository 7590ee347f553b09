from dataclasses import replace

import numpy as np
import pytest

import factories
import networks
from factories import BUS, CAR, PERSON, ROAD, SKY, segment
from jsisnet.categories import Categories, Category
from jsisnet.data.sample import example
from jsisnet.data.stream import Stream
from jsisnet.data.transforms import TransformConfig
from jsisnet.formats.dataset import Sample
from jsisnet.training.batch_picture import caption, draw_targets, page


def example_of(ids, *segments, enlarged=1, **more):
    """An example with a grey photo; each number of `ids` is a square of pixels."""
    panoptic = factories.panoptic_map(np.kron(ids, np.ones((enlarged, enlarged))), *segments)
    image = np.full((*panoptic.size, 3), 200, np.uint8)
    sample = Sample(image=image, panoptic=panoptic, image_id=7, **more)
    return example(sample, factories.CATEGORIES)


def parts(made, categories=factories.CATEGORIES):
    """The three pictures of an example."""
    picture = draw_targets(made, categories)
    width = made.semantic.shape[1] * max(1, 400 // max(made.semantic.shape))
    gap = (picture.shape[1] - 3 * width) // 2
    return [picture[:, place : place + width] for place in (i * (width + gap) for i in range(3))]


def ishatched(pixels):
    """Whether pixels are grey and not all alike."""
    return (pixels == pixels[..., :1]).all() and len(np.unique(pixels)) > 1


def test_the_input_is_shown_pixel_by_pixel():
    image = networks.streets(1).images[0]
    made = replace(example_of(np.ones((64, 96)), segment(SKY)), image=image)

    shown = parts(made)[0]

    assert shown.shape == (4 * 64, 4 * 96, 3)
    for row, column in np.ndindex(4, 4):
        assert (shown[row::4, column::4] == image.permute(1, 2, 0).numpy()).all()


def test_large_inputs_are_not_enlarged():
    made = example_of([[1, 2]], segment(SKY), segment(ROAD), enlarged=300)

    assert [part.shape for part in parts(made)] == [(300, 600, 3)] * 3


def test_the_semantic_target_has_the_colours_of_its_classes_and_void_is_hatched():
    made = example_of([[0, 1], [2, 3]], segment(SKY), segment(CAR), segment(CAR), enlarged=200)

    shown = parts(made)[1]

    assert ishatched(shown[:200, :200])
    (sky,) = np.unique(shown[5:40, 205:].reshape(-1, 3), axis=0)
    cars = np.unique(shown[395:].reshape(-1, 3), axis=0)
    assert sky[2] > sky[0]
    assert len(cars) == 1


def test_each_object_has_a_mask_of_its_own_colour_and_the_rest_is_dark():
    ids = [[1, 1, 1, 1], [1, 2, 3, 1], [1, 1, 1, 1]]
    made = example_of(ids, segment(SKY), segment(CAR), segment(CAR), enlarged=100)

    shown = parts(made)[2]

    first, second = shown[150, 150], shown[150, 250]
    assert shown[290, 390].tolist() == [110, 110, 110]
    assert len({tuple(color) for color in (first, second, shown[290, 390])}) == 3


def test_an_object_of_one_pixel_is_seen():
    ids = np.ones((400, 400), int)
    ids[200, 300] = 2
    made = example_of(ids, segment(SKY), segment(PERSON))

    semantic, objects = parts(made)[1:]

    assert (semantic[200, 300] != semantic[200, 310]).any()
    assert len(np.unique(objects[199:202, 299:302].reshape(-1, 3), axis=0)) == 2
    assert (objects[200, 302] == objects[390, 390]).all()


def test_crowds_have_no_mask_but_a_dashed_frame():
    ids = np.zeros((300, 400), int)
    ids[100:200, 100:300] = 1
    made = example_of(ids, segment(PERSON, iscrowd=True))

    shown = parts(made)[2]

    frame = (shown[99] == 255).all(axis=1)[100:300]
    assert 0.4 < frame.mean() < 0.6
    assert (shown[150, 150] == shown[290, 390]).all()


def test_targets_are_drawn_instead_of_the_ground_truth():
    made = example_of([[1, 2]], segment(SKY), segment(CAR), enlarged=200)
    wrong = replace(made, objects=networks.objects_of([[10, 10, 60, 60]], [0]))

    assert (parts(made)[2] != parts(wrong)[2]).any()


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (401, 3)])
def test_inputs_of_any_size_are_drawn(size):
    made = example_of(np.ones(size, int), segment(CAR))

    assert parts(made)[2].shape[:2] == parts(made)[0].shape[:2]


def test_the_caption_counts_the_objects():
    ids = [[1, 2], [3, 4]]
    kinds = segment(CAR), segment(PERSON), segment(CAR), segment(PERSON, iscrowd=True)

    assert caption(example_of(ids, *kinds), factories.CATEGORIES) == "2 car, 1 person, 1 crowd"


def test_the_caption_gives_the_share_of_void():
    made = example_of([[0, 1, 1, 1]], segment(SKY))

    assert caption(made, factories.CATEGORIES) == "no objects, 25.0% void"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"unlabelled": frozenset({CAR})}, "1 person\nnot labelled: car"),
        ({"unlabelled": frozenset({PERSON, CAR, BUS})}, "no objects\nnot labelled: objects"),
        ({"semantic": False}, "1 person\nnot labelled: classes of pixels"),
        (
            {"unlabelled": frozenset({CAR, BUS}), "semantic": False},
            "1 person\nnot labelled: car, bus, classes of pixels",
        ),
    ],
)
def test_the_caption_lists_what_is_not_labelled(more, expected):
    made = example_of([[1]], segment(PERSON), **more)

    assert caption(made, factories.CATEGORIES) == expected


def test_a_long_list_is_cut():
    categories = Categories(
        tuple(Category(id=i, name=f"thing {i}", isthing=True) for i in range(20))
    )
    sample = Sample(
        image=np.zeros((1, 1, 3), np.uint8),
        panoptic=factories.panoptic_map([[0]]),
        image_id=1,
        unlabelled=frozenset(range(19)),
    )

    line = caption(example(sample, categories), categories).splitlines()[1]

    assert line == (
        "not labelled: thing 0, thing 1, thing 2, thing 3, thing 4, thing 5, 13 more, "
        "classes of pixels"
    )


class Streets:
    """Three streets without files."""

    categories = factories.CATEGORIES

    def __len__(self):
        return 3

    def __getitem__(self, index):
        panoptic = factories.tiny_map(index)
        image = np.array(factories.photo_of(panoptic))
        return Sample(image=image, panoptic=panoptic, image_id=100 + index)


def test_a_page_shows_the_examples_at_the_positions_of_the_stream():
    stream = Stream(Streets(), TransformConfig(size=(64, 96)), seed=3)
    heard = []

    drawn = page(stream, range(4, 6), on_photo=lambda *numbers: heard.append(numbers))

    assert heard == [(1, 2), (2, 2)]
    for position in (4, 5):
        assert iswithin(draw_targets(stream[position], factories.CATEGORIES), drawn)
    assert not iswithin(draw_targets(stream[6], factories.CATEGORIES), drawn)


@pytest.mark.parametrize("count", [1, 2, 7, 12])
def test_pages_are_wider_than_high_but_not_by_far(count):
    stream = Stream(Streets(), TransformConfig(size=(64, 96)))

    height, width = page(stream, range(count)).shape[:2]

    assert 0.5 < width / height < (6 if count < 3 else 3)


def iswithin(part, whole):
    """Whether a picture occurs in another."""
    height, width = part.shape[:2]
    corners = (whole[: 1 - height or None, : 1 - width or None] == part[0, 0]).all(axis=2)
    return any(
        (whole[row : row + height, column : column + width] == part).all()
        for row, column in np.argwhere(corners)[:20000]
        if (whole[row, column : column + width] == part[0]).all()
    )
