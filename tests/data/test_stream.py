from collections import Counter
from dataclasses import replace
from itertools import accumulate, chain, islice, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from factories import BUS, CAR, CATEGORIES, photo_of, tiny_map
from jsisnet.categories import Categories
from jsisnet.data.sample import collate
from jsisnet.data.sources import Part
from jsisnet.data.stream import Stream, StreamSampler, _order, _turns, sample_index
from jsisnet.data.transforms import TransformConfig
from jsisnet.formats.dataset import Sample

CONFIG = TransformConfig(size=(16, 24), min_scale=0.5, max_scale=2.0, brightness=0.2)


class Streets:
    """Five streets, in memory."""

    categories = CATEGORIES

    def __len__(self):
        return 5

    def __getitem__(self, index):
        panoptic = tiny_map(index)
        return Sample(image=np.array(photo_of(panoptic)), panoptic=panoptic, image_id=index)


class Empty(Streets):
    def __len__(self):
        return 0


@pytest.fixture
def stream():
    return Stream(Streets(), CONFIG, seed=3)


def batches(stream, count, *, size=4, workers=0, **sampler):
    loader = DataLoader(
        stream,
        batch_size=size,
        sampler=StreamSampler(**sampler),
        num_workers=workers,
        collate_fn=collate,
    )
    return list(islice(loader, count))


def equal(first, second):
    return torch.equal(first.images, second.images) and all(
        torch.equal(a.boxes, b.boxes) for a, b in zip(first.objects, second.objects, strict=True)
    )


class Sides(Streets):
    """The streets, whose cars are called left and whose buses right."""

    categories = Categories(
        tuple(
            replace(c, name={"car": "left", "bus": "right"}.get(c.name, c.name)) for c in CATEGORIES
        )
    )


def test_flipped_photos_train_the_classes_of_the_other_side():
    left_and_right = {
        flipped: Stream(Sides(), TransformConfig(size=(16, 24), hflip=flipped), seed=3)[0]
        for flipped in (0.0, 1.0)
    }

    still, mirrored = (left_and_right[flipped].objects for flipped in (0.0, 1.0))
    assert left_and_right[0.0].image_id == left_and_right[1.0].image_id
    exchanged = [{CAR: BUS, BUS: CAR}.get(channel, channel) for channel in still.channels.tolist()]
    assert mirrored.channels.tolist() == exchanged != still.channels.tolist()
    assert torch.equal(mirrored.boxes[:, 0], 24 - still.boxes[:, 2])


def test_each_pass_through_the_data_has_every_sample_once():
    for epoch in range(20):
        run = [sample_index(epoch * 7 + place, (Part(length=7),), seed=0) for place in range(7)]

        assert sorted(run) == list(range(7))


def test_each_pass_and_each_seed_has_its_own_order():
    def order(epoch, seed):
        return tuple(
            sample_index(epoch * 50 + place, (Part(length=50),), seed) for place in range(50)
        )

    orders = {order(epoch, seed) for epoch in range(5) for seed in range(5)}

    assert len(orders) == 25


def test_positions_are_found_in_any_order():
    forward = [sample_index(position, (Part(length=6),), seed=1) for position in range(60)]
    backward = [
        sample_index(position, (Part(length=6),), seed=1) for position in reversed(range(60))
    ]

    assert backward[::-1] == forward


def shares(parts, count, seed=0):
    """Count how often each sample of each part lies at the first positions."""
    counts = Counter(sample_index(position, parts, seed) for position in range(count))
    ends = accumulate(part.length for part in parts)
    return [
        [counts[i] for i in range(end - part.length, end)]
        for end, part in zip(ends, parts, strict=True)
    ]


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(1, 9), st.floats(0.1, 4)), min_size=1, max_size=4),
    st.integers(0, 3),
)
def test_a_round_holds_each_part_as_often_as_its_length_times_its_weight(pairs, seed):
    parts = tuple(Part(length=length, weight=weight) for length, weight in pairs)
    expected = [max(1, round(part.length * part.weight)) for part in parts]

    for rounds in (1, 2, 5):
        found = shares(parts, rounds * sum(expected), seed)

        assert [sum(part) for part in found] == [rounds * share for share in expected]


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(1, 9), st.floats(0.1, 4)), min_size=1, max_size=4),
    st.integers(1, 200),
)
def test_photos_of_a_part_are_seen_equally_often_up_to_any_position(pairs, count):
    parts = tuple(Part(length=length, weight=weight) for length, weight in pairs)

    assert all(max(part) - min(part) <= 1 for part in shares(parts, count))


def test_a_photo_of_weight_3_is_seen_3_times_as_often():
    parts = (Part(length=10), Part(length=4, weight=3.0), Part(length=8, weight=0.5))

    assert shares(parts, 26 * 2) == [[2] * 10, [6] * 4, [1] * 8]


def test_parts_take_turns_at_random():
    parts = (Part(length=50), Part(length=50))

    turns = [sample_index(position, parts, seed=0) < 50 for position in range(100)]

    assert 30 < sum(one != other for one, other in pairwise(turns)) < 70


def test_each_round_and_each_seed_has_its_own_turns():
    parts = (Part(length=10), Part(length=10))

    def turns(number, seed):
        places = range(number * 20, number * 20 + 20)
        return tuple(sample_index(place, parts, seed) < 10 for place in places)

    assert len({turns(number, seed) for number in range(4) for seed in range(4)}) == 16


def test_parts_of_one_length_have_orders_of_their_own():
    parts = (Part(length=30), Part(length=30))
    places = [sample_index(position, parts, seed=0) for position in range(60)]

    first, second = [p for p in places if p < 30], [p - 30 for p in places if p >= 30]

    assert sorted(first) == sorted(second)
    assert first != second


def test_a_part_alone_is_read_as_without_parts_whatever_its_weight():
    alone, weighted = ((Part(length=9, weight=weight),) for weight in (1.0, 2.5))

    places = [[sample_index(p, parts, seed=0) for p in range(50)] for parts in (alone, weighted)]

    assert places[0] == places[1]


def test_positions_of_several_parts_are_found_in_any_order():
    parts = (Part(length=5), Part(length=3, weight=2.0))

    forward = [sample_index(position, parts, seed=1) for position in range(100)]
    _turns.cache_clear()
    _order.cache_clear()
    backward = [sample_index(position, parts, seed=1) for position in reversed(range(100))]

    assert backward[::-1] == forward


def test_a_sampler_is_infinite_from_its_start():
    assert list(islice(StreamSampler(start=10), 4)) == [10, 11, 12, 13]


def test_ranks_share_every_global_batch():
    ranks = [list(islice(StreamSampler(start=8, rank=r, world=4), 6)) for r in range(4)]

    assert sorted(chain.from_iterable(ranks)) == list(range(8, 32))
    assert sorted(position for rank in ranks for position in rank[:2]) == list(range(8, 16))


def test_a_resumed_stream_is_the_tail_of_the_full_one(stream):
    full = batches(stream, 6)

    resumed = batches(stream, 3, start=3 * 4)

    assert [batch.image_ids for batch in resumed] == [batch.image_ids for batch in full[3:]]
    assert all(map(equal, resumed, full[3:]))


def test_the_number_of_workers_does_not_matter(stream):
    alone, shared = batches(stream, 4), batches(stream, 4, workers=2)

    assert all(map(equal, alone, shared))


def test_the_number_of_ranks_does_not_matter(stream):
    alone = batches(stream, 1, size=4)[0]

    ranks = [batches(stream, 1, size=2, rank=rank, world=2)[0] for rank in range(2)]

    together = torch.stack([rank.images for rank in ranks], dim=1).flatten(0, 1)
    assert torch.equal(together, alone.images)


def test_a_photo_looks_different_in_each_pass(stream):
    first = {stream[p].image_id: stream[p].image for p in range(5)}
    second = {stream[p].image_id: stream[p].image for p in range(5, 10)}

    assert first.keys() == second.keys()
    assert not any(torch.equal(first[name], second[name]) for name in first)


def test_the_seed_changes_the_photos():
    one, other = (Stream(Streets(), CONFIG, seed=seed)[0] for seed in (1, 2))

    assert not torch.equal(one.image, other.image)


def test_examples_have_targets_of_the_size_of_the_input(stream):
    example = stream[0]

    assert example.image.shape == (3, 16, 24)
    assert example.semantic.shape == example.instance_ids.shape == (16, 24)
    assert example.instance_ids.max() == len(example.objects)


def test_the_smallest_side_of_objects_is_a_setting():
    huge = Stream(Streets(), TransformConfig(size=(16, 24), min_box=25))

    assert [len(huge[position].objects) for position in range(5)] == [0] * 5


def test_no_photos_are_refused():
    with pytest.raises(ValueError, match="no photos"):
        Stream(Empty(), CONFIG)


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="seed is -1"):
        Stream(Streets(), CONFIG, seed=-1)
