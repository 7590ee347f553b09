import json
from contextlib import closing

import numpy as np
import pytest

import factories
from factories import BUS, CAR, CATEGORIES, PERSON, ROAD, SKY, TREE
from jsisnet.categories import Categories
from jsisnet.datatools.statistics import read_map_contents, statistics
from jsisnet.formats import coco
from jsisnet.formats.records import Record, Source


def statistics_of(*maps, categories=CATEGORIES, **more):
    """Return the statistics of maps."""
    records = [
        Record(image_id=i, name=f"{i}.jpg", image=None, size=None, read=lambda m=panoptic: m)
        for i, panoptic in enumerate(maps)
    ]
    return statistics(Source(categories=categories, records=tuple(records)), **more)


STREET = factories.panoptic_map(
    [[1, 1, 1, 1], [2, 2, 3, 0]],
    factories.segment(SKY),
    factories.segment(CAR),
    factories.segment(CAR),
)
CROWDED = factories.panoptic_map(
    [[1, 1, 2, 2]], factories.segment(PERSON, iscrowd=True), factories.segment(SKY)
)


def square(label, side):
    """Return the map of one square thing that fills its image."""
    return factories.panoptic_map(np.ones((side, side), int).tolist(), factories.segment(label))


def test_images_segments_and_pixels_of_a_class_are_counted():
    sky, car = (statistics_of(STREET, CROWDED).classes()[label] for label in (SKY, CAR))

    assert (sky.images, sky.segments, sky.crowds, sky.pixels) == (2, 2, 0, 6)
    assert (car.images, car.segments, car.crowds, car.pixels) == (1, 2, 0, 3)
    assert (sky.median_area, car.median_area) == (3.0, 1.5)
    assert (sky.median_share, car.median_share) == (0.5, 1.5 / 8)


def test_a_crowd_is_not_a_segment_but_its_pixels_count():
    found = statistics_of(STREET, CROWDED)
    person = found.classes()[PERSON]

    assert (person.images, person.segments, person.crowds, person.pixels) == (1, 0, 1, 2)
    assert (person.sizes, person.median_area, person.median_share) == ((0, 0, 0), None, None)
    assert found.per_image(found.things).tolist() == [2, 0]


def test_void_is_the_fraction_of_pixels_without_a_segment():
    assert statistics_of(STREET).void == 1 / 8
    assert statistics_of(STREET, CROWDED).void == pytest.approx(1 / 12)


@pytest.mark.parametrize(
    ("side", "sizes"), [(31, (1, 0, 0)), (32, (0, 1, 0)), (95, (0, 1, 0)), (96, (0, 0, 1))]
)
def test_things_are_small_below_32_and_large_from_96_pixels_squared(side, sizes):
    assert statistics_of(square(BUS, side)).classes()[BUS].sizes == sizes


def test_the_summary_can_be_written_as_json():
    summary = statistics_of(STREET, CROWDED, square(BUS, 40)).summary()

    assert json.loads(json.dumps(summary)) == summary
    assert (summary["images"], summary["segments"], summary["things"]) == (3, 5, 3)
    assert (summary["crowds"], summary["images_without_things"]) == (1, 0)
    assert summary["height"] == {"lowest": 1, "median": 2.0, "mean": 43 / 3, "highest": 40}
    assert summary["things_per_image"] == {
        "lowest": 0,
        "median": 1.0,
        "mean": 1.0,
        "highest": 2,
    }
    assert summary["thing_sizes"] == {"small": 2, "medium": 1, "large": 0}
    assert summary["never_seen"] == ["road", "tree"]


def test_a_class_is_described_by_its_id_and_name():
    row = statistics_of(STREET).summary()["classes"][CAR]

    assert row == {
        "id": 3,
        "name": "car",
        "isthing": True,
        "images": 1,
        "segments": 2,
        "crowds": 0,
        "pixels": 3,
        "share": 3 / 8,
        "small": 2,
        "medium": 0,
        "large": 0,
        "median_area": 1.5,
        "median_share": 1.5 / 8,
    }


def test_a_data_set_without_images_has_statistics():
    summary = statistics_of().summary()

    assert (summary["images"], summary["segments"], summary["void"]) == (0, 0, None)
    assert set(summary["height"].values()) == {None}
    assert len(summary["never_seen"]) == len(CATEGORIES)


def test_a_data_set_without_classes_is_void():
    found = statistics_of(factories.panoptic_map([[0, 0]]), categories=Categories(()))

    assert (found.void, found.classes()) == (1.0, ())
    assert found.summary()["images_without_things"] == 1


def test_a_data_set_of_stuff_alone_has_no_things():
    found = statistics_of(factories.panoptic_map([[1]], factories.segment(ROAD)))

    assert found.things.tolist() == [False]
    assert found.summary()["thing_sizes"] == {"small": 0, "medium": 0, "large": 0}


def test_several_processes_give_the_same_and_report_progress(tiny):
    source = coco.source(tiny.annotations)
    progress = []

    shared = statistics(source, processes=2, on_image=lambda *numbers: progress.append(numbers))

    assert shared.summary() == statistics(source).summary()
    assert progress == [(done, 6) for done in range(1, 7)]


def test_segments_know_their_image_and_their_index_in_it(tiny):
    found = statistics(coco.source(tiny.annotations))

    trees = found.segments.labels == TREE
    assert found.segments.images[trees].tolist() == [1, 3, 5]
    assert all(
        factories.tiny_map(image).segments[index].label == TREE
        for image, index in zip(
            found.segments.images[trees], found.segments.indices[trees], strict=True
        )
    )


def record(number, panoptic):
    return Record(
        image_id=number, name=f"{number}.jpg", image=None, size=None, read=lambda: panoptic
    )


def test_map_contents_have_indices_labels_areas_and_crowds():
    panoptic = factories.panoptic_map(
        [[0, 1, 1], [3, 3, 3]],
        factories.segment(SKY),
        factories.segment(CAR),
        factories.segment(PERSON, iscrowd=True),
    )

    (contents,) = read_map_contents([record(1, panoptic)])

    assert contents.size == (2, 3)
    assert contents.indices.tolist() == [0, 2]
    assert contents.labels.tolist() == [SKY, PERSON]
    assert contents.areas.tolist() == [2, 3]
    assert contents.crowds.tolist() == [False, True]


def test_a_void_map_has_no_contents():
    (contents,) = read_map_contents([record(1, factories.panoptic_map([[0, 0]]))])

    assert contents.labels.tolist() == []


def test_several_processes_keep_the_order():
    maps = [factories.panoptic_map([[1] * width], factories.segment(ROAD)) for width in range(1, 8)]
    records = [record(number, panoptic) for number, panoptic in enumerate(maps)]

    widths = [each.size[1] for each in read_map_contents(records, processes=2)]

    assert widths == list(range(1, 8))


def test_reading_can_stop_early(tiny):
    records = coco.source(tiny.annotations).records

    with closing(read_map_contents(records, processes=2)) as read:
        assert PERSON in next(read).labels


def test_a_damaged_map_is_named(tiny):
    (tiny.pngs / "map3.png").write_bytes(b"not a map")
    records = coco.source(tiny.annotations).records

    with pytest.raises(ValueError, match=r"map3\.png: image 103: not a PNG"):
        list(read_map_contents(records, processes=2))
