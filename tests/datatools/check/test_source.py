from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import factories
from factories import BUS, CAR, PERSON, ROAD, SKY, TREE, panoptic_map, segment
from jsisnet.categories import Categories
from jsisnet.datatools.check.check import check_source
from jsisnet.datatools.check.rules import Rule
from jsisnet.formats import coco
from jsisnet.formats.records import Record, Source


def source_of(*maps, categories=factories.CATEGORIES):
    """Give a data set of maps without photos."""
    records = tuple(
        Record(image_id=i, name=f"{i}.jpg", image=None, size=None, read=lambda made=made: made)
        for i, made in enumerate(maps)
    )
    return Source(categories=categories, records=records)


def whole(*extra):
    """Give a map that has every class, in blocks, and further segments in its last row."""
    ids = np.repeat(np.arange(1, 7), 4)[None].repeat(4, 0)
    segments = [segment(label) for label in (PERSON, CAR, BUS, SKY, ROAD, TREE)]
    for i, more in enumerate(extra):
        ids[-1, 4 * i : 4 * i + 4] = len(segments) + 1
        segments.append(more)
    return panoptic_map(ids.tolist(), *segments)


def cases(source, **options):
    return {fault.rule: fault.examples for fault in check_source(source, **options).faults}


def with_photos(tiny):
    return coco.source(tiny.annotations, images=tiny.images)


def change(source, position, **values):
    records = list(source.records)
    records[position] = replace(records[position], **values)
    return replace(source, records=tuple(records))


def test_nothing_is_found_in_a_sound_data_set(tiny):
    report = check_source(with_photos(tiny))

    assert report.faults == ()
    assert report.images == 6


def test_photos_are_not_missed_where_nobody_said_where_they_are(tiny):
    report = check_source(coco.source(tiny.annotations))

    assert (report.faults, report.segments > 20) == ((), True)


def test_a_broken_map_is_told_and_the_others_are_checked(tiny):
    (tiny.pngs / "map1.png").write_bytes(b"no png")
    (tiny.pngs / "map4.png").unlink()

    found = cases(with_photos(tiny))

    assert set(found) == {Rule.MAP}
    first, second = found[Rule.MAP]
    assert first.startswith(f"image 101: {tiny.pngs / 'map1.png'}")
    assert second.startswith(f"image 104: {tiny.pngs / 'map4.png'}")


def test_photos_are_checked_as_those_of_coco(tiny):
    (tiny.images / "street0.jpg").unlink()
    (tiny.images / "street1.png").write_text("404 not found")
    (tiny.images / "street2.jpeg").rename(tiny.images / "street2.JPEG")
    Image.open(tiny.images / "street3.jpg").convert("L").save(tiny.images / "street3.jpg")
    Image.new("RGB", (5, 5)).save(tiny.images / "street4.png")

    found = cases(with_photos(tiny))

    rules = Rule.PHOTO_MISSING, Rule.PHOTO, Rule.PHOTO_CASE, Rule.PHOTO_MODE, Rule.PHOTO_SIZE
    assert set(found) == {*rules}
    assert f"{tiny.images / 'street4.png'} has 5 x 5 pixels" in found[Rule.PHOTO_SIZE][0]


def test_a_turned_photo_and_equal_pixels_are_found(tiny):
    exif = Image.Exif()
    exif[0x112] = 6
    photo = Image.open(tiny.images / "street1.png")
    photo.save(tiny.images / "street1.png", exif=exif)
    photo.save(tiny.images / "street4.png")

    found = cases(with_photos(tiny))

    assert set(found) == {Rule.PHOTO_TURNED, Rule.PHOTO_TWICE}
    assert found[Rule.PHOTO_TWICE] == ("'street1.png' has the pixels of 'street4.png'",)


def test_a_map_of_another_size_than_its_photo_is_told(tiny):
    unsized = change(with_photos(tiny), 1, size=None, read=whole)

    found = cases(unsized)

    assert found == {
        Rule.PNG_SIZE: ("image 101: its map has 4 x 24 pixels, but its photo 64 x 96",)
    }
    assert set(cases(change(with_photos(tiny), 1, read=whole))) == {Rule.MAP}


def test_segments_are_told_by_class_and_place():
    tail = panoptic_map([[1] * 8, [1] * 7 + [2]], segment(ROAD), segment(CAR))

    assert cases(source_of(whole(), tail)) == {
        Rule.PIXEL: ("image 1: car at column 7, row 1: is a single pixel",)
    }


def test_odd_segments_are_found():
    comb = panoptic_map([[2, 1] * 12], segment(CAR), segment(ROAD))

    found = cases(source_of(whole(segment(SKY)), whole(segment(ROAD, iscrowd=True)), comb))

    assert found[Rule.STUFF_TWICE] == (
        *("image 0: 'sky' is 2 segments", "image 1: 'road' is 2 segments"),
    )
    assert "is stuff, but 'iscrowd' is 1" in found[Rule.CROWD][0]
    assert "car at column 1, row 0: is in 12 pieces" in found[Rule.PIECES][0]
    assert Rule.SLIVER in found


def test_an_empty_map_and_an_unseen_class_are_found():
    void = panoptic_map([[0, 0]])
    person = panoptic_map([[1, 1], [1, 1]], segment(PERSON))

    found = cases(source_of(person, void), examples=10)

    assert found[Rule.VOID] == ("image 1: 2 of 2 pixels are void",)
    assert len(found[Rule.CATEGORY_UNSEEN]) == 5


def test_a_data_set_without_any_segment_is_an_error():
    assert Rule.NOTHING in cases(source_of(panoptic_map([[0]])))
    assert Rule.NOTHING in cases(source_of())


def test_a_covered_thing_is_a_warning():
    hidden = panoptic_map([[1, 1], [1, 1]], segment(CAR), segment(BUS))

    found = cases(source_of(whole(), hidden))

    assert found == {Rule.HIDDEN: ("image 1: bus, segment 2: owns no pixel",)}


def test_outlines_may_leave_most_of_a_photo_void():
    things = Categories(factories.CATEGORIES.items[:1])
    small = np.zeros((30, 30), np.int32)
    small[:2, :2] = 1
    dot = panoptic_map(small.tolist(), segment(PERSON))

    assert cases(source_of(dot, categories=things)) == {}
    assert Rule.VOID in cases(source_of(dot))


def test_shared_ids_names_maps_and_colors_are_found():
    first, *_ = factories.CATEGORIES
    shared = [replace(c, color=first.color) for c in factories.CATEGORIES.items[:2]]
    categories = Categories((*shared, *factories.CATEGORIES.items[2:]))
    source = source_of(whole(), whole(), whole(), whole(), categories=categories)
    source = change(source, 1, image_id=0)
    source = change(change(source, 2, name="0.jpg"), 3, name="0.png")

    assert cases(source) == {
        Rule.COLOR_SHARED: ("category 3: has the color of 'person'",),
        Rule.IMAGE_ID: ("image 0: is listed twice",),
        Rule.IMAGE_NAME: ("image 2: '0.jpg' is image 0 already",),
        Rule.PNG_SHARED: ("image 3: '0.png' would share its map with '0.jpg'",),
    }


def test_a_data_set_may_be_shared_by_processes(tiny):
    (tiny.pngs / "map1.png").unlink()

    assert check_source(with_photos(tiny), processes=2) == check_source(with_photos(tiny))


def test_a_check_that_was_stopped_goes_on(tiny, tmp_path):
    (tiny.pngs / "map0.png").unlink()
    expected = check_source(with_photos(tiny))

    def stop(done, _):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_source(with_photos(tiny), kept=tmp_path / "kept", on_image=stop)

    def unread():
        raise AssertionError("it was read before")

    rest = change(with_photos(tiny), 0, read=unread)
    assert check_source(rest, kept=tmp_path / "kept") == expected
    assert not (tmp_path / "kept").exists()
