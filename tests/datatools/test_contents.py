from contextlib import closing

import pytest

import factories
from factories import CAR, PERSON, ROAD, SKY
from jsisnet.formats import coco_source
from jsisnet.formats.records import Record
from jsisnet.statistics.contents import contents


def record(number, panoptic):
    return Record(
        image_id=number, name=f"{number}.jpg", image=None, size=None, read=lambda: panoptic
    )


def test_a_map_holds_its_segments_with_their_places_areas_and_crowds():
    panoptic = factories.panoptic_map(
        [[0, 1, 1], [3, 3, 3]],
        factories.segment(SKY),
        factories.segment(CAR),
        factories.segment(PERSON, iscrowd=True),
    )

    (held,) = contents([record(1, panoptic)])

    assert held.size == (2, 3)
    assert held.numbers.tolist() == [0, 2]
    assert held.labels.tolist() == [SKY, PERSON]
    assert held.areas.tolist() == [2, 3]
    assert held.crowds.tolist() == [False, True]


def test_a_map_of_void_holds_nothing():
    (held,) = contents([record(1, factories.panoptic_map([[0, 0]]))])

    assert held.labels.tolist() == []


def test_shared_work_comes_in_order():
    maps = [factories.panoptic_map([[1] * width], factories.segment(ROAD)) for width in range(1, 8)]
    records = [record(number, panoptic) for number, panoptic in enumerate(maps)]

    widths = [held.size[1] for held in contents(records, processes=2)]

    assert widths == list(range(1, 8))


def test_whoever_needs_no_more_stops_it(tiny):
    records = coco_source.panoptic(tiny.annotations).records

    with closing(contents(records, processes=2)) as read:
        assert PERSON in next(read).labels


def test_a_broken_map_is_named(tiny):
    (tiny.pngs / "map3.png").write_bytes(b"no map")
    records = coco_source.panoptic(tiny.annotations).records

    with pytest.raises(ValueError, match=r"map3\.png: image 103: is not a PNG"):
        list(contents(records, processes=2))
