import numpy as np
import pytest
import torch

from factories import BUS, CAR, CATEGORIES, PERSON, ROAD, SKY, panoptic_map, segment
from jsisnet.data.copy_paste import paste
from jsisnet.data.sample import example
from jsisnet.data.stream import Stream
from jsisnet.data.transforms import TransformConfig
from jsisnet.formats.dataset import Sample
from jsisnet.panoptic import VOID

WHITE, BLACK = 255, 0


def sample(color, rows, *segments, **more):
    """Return a photo of one colour."""
    panoptic = panoptic_map(rows, *segments)
    image = np.full((*panoptic.size, 3), color, np.uint8)
    return Sample(image=image, panoptic=panoptic, image_id=color, **more)


def pasted(below, above, *, draws):
    """Paste with a seed whose draws choose these segments of the other photo."""
    for seed in range(1000):
        found = torch.rand(len(draws), generator=torch.Generator().manual_seed(seed)) < 0.5
        if found.tolist() == list(draws):
            return paste(below, above, torch.Generator().manual_seed(seed))
    raise AssertionError


STREET = sample(
    BLACK, [[1, 1, 1, 1], [2, 2, 2, 2], [3, 3, 3, 0]], segment(SKY), segment(CAR), segment(ROAD)
)


def test_things_are_pasted_with_their_pixels_over_things_stuff_and_void():
    above = sample(WHITE, [[1, 1, 1, 2], [1, 1, 1, 2], [1, 1, 1, 2]], segment(SKY), segment(BUS))

    result = pasted(STREET, above, draws=[True, True])

    assert result.panoptic.ids.tolist() == [[1, 1, 1, 4], [2, 2, 2, 4], [3, 3, 3, 4]]
    assert result.panoptic.segments == (segment(SKY), segment(CAR), segment(ROAD), segment(BUS))
    assert result.image[..., 0].tolist() == [[BLACK, BLACK, BLACK, WHITE]] * 3
    assert result.image_id == STREET.image_id


def test_things_that_are_not_drawn_and_crowds_stay_where_they_are():
    above = sample(
        WHITE,
        [[1, 1, 2, 3]] * 3,
        segment(PERSON),
        segment(BUS),
        segment(PERSON, iscrowd=True),
    )

    result = pasted(STREET, above, draws=[False, True, True])

    assert result.panoptic.segments[3:] == (segment(BUS),)
    assert (result.image[..., 0] == WHITE).tolist() == [[False, False, True, False]] * 3


def test_a_hidden_stuff_segment_is_gone_and_an_almost_hidden_thing_is_void():
    wide = [[1] * 20, [2] * 20, [3] * 20]
    below = sample(BLACK, wide, segment(SKY), segment(CAR), segment(PERSON, iscrowd=True))
    above = sample(WHITE, [[1] * 20, [1] * 19 + [0], [1] * 19 + [0]], segment(BUS))

    result = pasted(below, above, draws=[True])

    assert result.panoptic.segments == (segment(PERSON, iscrowd=True), segment(BUS))
    assert result.panoptic.ids[:, -1].tolist() == [2, VOID, 1]


def test_an_occluded_thing_keeps_a_smaller_box():
    above = sample(WHITE, [[0, 0, 1, 1]] * 3, segment(BUS))

    objects = example(pasted(STREET, above, draws=[True]), CATEGORIES).objects

    assert objects.boxes.tolist() == [[0, 1, 2, 2], [2, 0, 4, 3]]


class Photos:
    """Five photos, each of one colour with as many cars, of which some do not label persons."""

    categories = CATEGORIES

    def __init__(self, unlabelled=()):
        self.unlabelled = unlabelled

    def __len__(self):
        return 5

    def __getitem__(self, index):
        rows = (np.arange(8 * 12).reshape(8, 12) % (index + 3)).tolist()
        cars = [segment(CAR)] * (index + 2)
        unlabelled = frozenset([PERSON]) if index in self.unlabelled else frozenset()
        return sample(50 * index, rows, *cars, unlabelled=unlabelled)


def stream(probability, *, seed=3, **photos):
    config = TransformConfig(size=(8, 12), min_scale=0.5, max_scale=2.0, copy_paste=probability)
    return Stream(Photos(**photos), config, seed=seed)


def same(first, second):
    return torch.equal(first.image, second.image) and torch.equal(
        first.instance_ids, second.instance_ids
    )


def test_pasting_leaves_the_photos_in_which_nothing_is_pasted_as_they_were():
    without, half, always = ([stream(p)[i] for i in range(40)] for p in (0.0, 0.5, 1.0))

    changed = [not same(a, b) for a, b in zip(without, half, strict=True)]
    assert 5 < sum(changed) < 25
    assert all(same(a, b) for a, b, c in zip(half, always, changed, strict=True) if c)
    assert [each.image_id for each in half] == [each.image_id for each in without]
    assert all(same(stream(0.5)[i], each) for i, each in enumerate(half))


@pytest.mark.parametrize("unlabelled", [range(5), range(1, 5)])
def test_photos_that_do_not_label_all_things_take_no_part(unlabelled):
    mixed = stream(1.0, unlabelled=unlabelled)

    for position in range(20):
        if mixed[position].image_id != 0 or len(unlabelled) == len(Photos()):
            assert same(mixed[position], stream(0.0)[position])
