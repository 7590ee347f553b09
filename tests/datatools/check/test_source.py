import os
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
    """Return a data set of maps without photos."""
    records = tuple(
        Record(image_id=i, name=f"{i}.jpg", image=None, size=None, read=lambda made=made: made)
        for i, made in enumerate(maps)
    )
    return Source(categories=categories, records=records)


def whole(*extra):
    """Return a map that has every class, in blocks, and more segments in its last row."""
    ids = np.repeat(np.arange(1, 7), 4)[None].repeat(4, 0)
    segments = [segment(label) for label in (PERSON, CAR, BUS, SKY, ROAD, TREE)]
    for i, more in enumerate(extra):
        ids[-1, 4 * i : 4 * i + 4] = len(segments) + 1
        segments.append(more)
    return panoptic_map(ids.tolist(), *segments)


def violations(source, **options):
    report = check_source(source, **options)
    return {each.rule: each.examples for each in report.violations}


def with_photos(tiny):
    return coco.source(tiny.annotations, images=tiny.images)


def change(source, position, **values):
    records = list(source.records)
    records[position] = replace(records[position], **values)
    return replace(source, records=tuple(records))


def test_a_valid_data_set_has_no_violations(tiny):
    report = check_source(with_photos(tiny))

    assert report.violations == ()
    assert report.images == 6


def test_photos_are_not_checked_if_their_folder_is_unknown(tiny):
    report = check_source(coco.source(tiny.annotations))

    assert (report.violations, report.segments > 20) == ((), True)


def test_a_damaged_map_is_reported_and_the_others_are_checked(tiny):
    (tiny.pngs / "map1.png").write_bytes(b"not a PNG")
    (tiny.pngs / "map4.png").unlink()

    found = violations(with_photos(tiny))

    assert set(found) == {Rule.MAP}
    first, second = found[Rule.MAP]
    assert first.startswith(f"image 101: {tiny.pngs / 'map1.png'}")
    assert second.startswith(f"image 104: {tiny.pngs / 'map4.png'}")


def test_photos_are_checked_by_the_rules_of_coco(tiny):
    (tiny.images / "street0.jpg").unlink()
    (tiny.images / "street1.png").write_text("404 not found")
    (tiny.images / "street2.jpeg").rename(tiny.images / "street2.JPEG")
    Image.open(tiny.images / "street3.jpg").convert("L").save(tiny.images / "street3.jpg")
    Image.new("RGB", (5, 5)).save(tiny.images / "street4.png")

    found = violations(with_photos(tiny))

    rules = Rule.PHOTO_MISSING, Rule.PHOTO, Rule.PHOTO_CASE, Rule.PHOTO_MODE, Rule.PHOTO_SIZE
    assert set(found) == {*rules}
    assert f"{tiny.images / 'street4.png'} is 5x5 pixels" in found[Rule.PHOTO_SIZE][0]


def test_exif_rotation_and_identical_pixels_are_found(tiny):
    exif = Image.Exif()
    exif[0x112] = 6
    photo = Image.open(tiny.images / "street1.png")
    photo.save(tiny.images / "street1.png", exif=exif)
    photo.save(tiny.images / "street4.png")

    found = violations(with_photos(tiny))

    assert set(found) == {Rule.PHOTO_TURNED, Rule.PHOTO_TWICE}
    assert found[Rule.PHOTO_TWICE] == ("'street1.png' has the same pixels as 'street4.png'",)


def test_a_map_and_a_photo_of_different_sizes_are_reported(tiny):
    unsized = change(with_photos(tiny), 1, size=None, read=whole)

    found = violations(unsized)

    assert found == {Rule.PNG_SIZE: ("image 101: its map is 4x24 pixels, but its photo is 64x96",)}
    assert set(violations(change(with_photos(tiny), 1, read=whole))) == {Rule.MAP}


def test_segments_are_named_by_class_and_position():
    tail = panoptic_map([[1] * 8, [1] * 7 + [2]], segment(ROAD), segment(CAR))

    assert violations(source_of(whole(), tail)) == {
        Rule.PIXEL: ("image 1: car at column 7, row 1: a single pixel",)
    }


def test_invalid_segments_are_found():
    comb = panoptic_map([[2, 1] * 12], segment(CAR), segment(ROAD))

    found = violations(source_of(whole(segment(SKY)), whole(segment(ROAD, iscrowd=True)), comb))

    assert found[Rule.STUFF_TWICE] == (
        *("image 0: 'sky' has 2 segments", "image 1: 'road' has 2 segments"),
    )
    assert "stuff, but 'iscrowd' is 1" in found[Rule.CROWD][0]
    assert "car at column 1, row 0: in 12 pieces" in found[Rule.PIECES][0]
    assert Rule.SLIVER in found


def test_an_empty_map_and_classes_without_segments_are_found():
    void = panoptic_map([[0, 0]])
    person = panoptic_map([[1, 1], [1, 1]], segment(PERSON))

    found = violations(source_of(person, void), examples=10)

    assert found[Rule.VOID] == ("image 1: 2 of 2 pixels are void",)
    assert len(found[Rule.CATEGORY_UNSEEN]) == 5


def test_a_data_set_without_any_segment_is_an_error():
    assert Rule.NOTHING in violations(source_of(panoptic_map([[0]])))
    assert Rule.NOTHING in violations(source_of())


def test_a_covered_thing_is_a_warning():
    hidden = panoptic_map([[1, 1], [1, 1]], segment(CAR), segment(BUS))

    found = violations(source_of(whole(), hidden))

    assert found == {Rule.HIDDEN: ("image 1: bus, segment 2: no pixels",)}


def test_outlines_may_leave_most_of_a_photo_void():
    things = Categories(factories.CATEGORIES.items[:1])
    small = np.zeros((30, 30), np.int32)
    small[:2, :2] = 1
    dot = panoptic_map(small.tolist(), segment(PERSON))

    assert violations(source_of(dot, categories=things)) == {}
    assert Rule.VOID in violations(source_of(dot))


def test_duplicate_ids_names_maps_and_colors_are_found():
    first, *_ = factories.CATEGORIES
    shared = [replace(c, color=first.color) for c in factories.CATEGORIES.items[:2]]
    categories = Categories((*shared, *factories.CATEGORIES.items[2:]))
    source = source_of(whole(), whole(), whole(), whole(), categories=categories)
    source = change(source, 1, image_id=0)
    source = change(change(source, 2, name="0.jpg"), 3, name="0.png")

    assert violations(source) == {
        Rule.COLOR_SHARED: ("category 3: same color as 'person'",),
        Rule.IMAGE_ID: ("image 0: listed twice",),
        Rule.IMAGE_NAME: ("image 2: '0.jpg' is already the photo of image 0",),
        Rule.PNG_SHARED: ("image 3: '0.png' would share its map with '0.jpg'",),
    }


def test_several_processes_find_the_same(tiny):
    (tiny.pngs / "map1.png").unlink()

    assert check_source(with_photos(tiny), processes=2) == check_source(with_photos(tiny))


def test_an_interrupted_check_resumes(tiny, tmp_path):
    (tiny.pngs / "map0.png").unlink()
    expected = check_source(with_photos(tiny))

    def stop(done, _):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_source(with_photos(tiny), journal_path=tmp_path / "journal", on_image=stop)

    path = tiny.pngs / "map1.png"
    status = path.stat()
    path.write_bytes(bytes(status.st_size))  # it would be noticed only if it were read again
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert check_source(with_photos(tiny), journal_path=tmp_path / "journal") == expected
    assert not (tmp_path / "journal").exists()


def test_warnings_of_the_reader_are_reported():
    odd = replace(source_of(whole()), warnings=("1 of 1 names is odd: 'a'",))

    assert violations(odd) == {Rule.TOLERATED: ("1 of 1 names is odd: 'a'",)}
