import json
import pickle
import shutil
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

import factories
from factories import BUS, CAR, CATEGORIES, PERSON, SKY, panoptic_map, segment
from jsisnet.categories import Categories
from jsisnet.datatools import convert
from jsisnet.files.journal import JOURNAL
from jsisnet.formats import coco
from jsisnet.formats.open import WritableFormat, create_dataset, open_dataset
from jsisnet.formats.records import CROWDS, EMPTY, SCORES, Record, Source


def same(first, second):
    """Whether two maps differ only in the order of their segments."""
    found = []
    for panoptic in (first, second):
        kinds = [(CATEGORIES[s.label].name, s.isthing, s.iscrowd) for s in panoptic.segments]
        found.append(dict(enumerate(kinds, 1)) | {0: None})
    pairs = np.unique(np.stack([first.ids.ravel(), second.ids.ravel()]), axis=1).T.tolist()
    return (
        len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
        and len(first.segments) == len(second.segments)
        and all(found[0][a] == found[1][b] for a, b in pairs)
    )


def record(panoptic, number=1, name=None):
    return Record(
        image_id=number,
        name=name or f"{number}.jpg",
        image=None,
        size=None,
        read=partial(type(panoptic), panoptic.ids, panoptic.segments),
    )


def source(*records):
    return Source(categories=CATEGORIES, records=records)


STREETS = source(*(record(factories.tiny_map(i), i) for i in range(6)))


def crowded():
    """Return a map with 300 things of a class, two crowds, stuff and void."""
    things = [segment(CAR)] * 300
    crowds = [segment(CAR, iscrowd=True), segment(BUS, iscrowd=True)]
    segments = (*things, *crowds, segment(SKY))
    return panoptic_map([[0, *range(1, len(segments) + 1), 0, 1]], *segments)


def zipped(folder):
    """Return a zip of a folder."""
    return Path(shutil.make_archive(str(folder), "zip", folder))


def reopened(kind, folder, packed=lambda folder: folder):
    """Open a converted data set; `packed` replaces a folder by what to read."""
    if kind == "coco":
        return open_dataset(kind, annotations=folder / "panoptic.json")
    index = folder / "index.json"
    match kind:
        case "coco-instances":
            parts = {
                "annotations": folder / "instances.json",
                "semantic": packed(folder / "semantic"),
            }
        case "two-channel":
            parts = {"pngs": packed(folder / "maps")}
        case "cityscapes":
            parts = {"root": packed(folder), "split": "all"}
        case "semantic-instance":
            parts = {
                "semantic": packed(folder / "semantic"),
                "instances": packed(folder / "instances"),
            }
    return open_dataset(kind, categories=index, **parts)


KINDS = get_args(WritableFormat)


def held(kind, panoptic):
    """Return the part of a map that a format can hold."""
    if kind != "two-channel":
        return panoptic
    ids = panoptic.ids.copy()
    for number, found in enumerate(panoptic.segments, 1):
        if found.iscrowd:
            ids[ids == number] = 0
    return type(panoptic).compact(ids, panoptic.segments)


@pytest.mark.parametrize(
    ("kind", "packed"),
    [
        *((kind, lambda folder: folder) for kind in KINDS),
        *((kind, zipped) for kind in KINDS if kind != "coco"),
    ],
)
@pytest.mark.parametrize("processes", [1, 3])
def test_a_round_trip_from_coco_and_back_loses_nothing_that_the_format_can_hold(
    kind, packed, processes, tmp_path
):
    first, middle, last = tmp_path / "first", tmp_path / "middle", tmp_path / "last"
    truth = source(*STREETS.records, record(crowded(), 6))
    convert.convert(truth, create_dataset("coco", first, CATEGORIES))
    before = reopened("coco", first)

    lost = convert.convert(
        before, create_dataset(kind, middle, before.categories), processes=processes
    ).lost
    between = reopened(kind, middle, packed)
    lost_again = convert.convert(between, create_dataset("coco", last, between.categories)).lost

    after = reopened("coco", last)
    assert [(c.name, c.isthing) for c in after.categories] == [
        (c.name, c.isthing) for c in CATEGORIES
    ]
    assert (lost, lost_again) == ({CROWDS: 3} if kind == "two-channel" else {}, {})
    for there, back in zip(truth.records, after.records, strict=True):
        assert (back.image_id, back.name) == (there.image_id, there.name)
        assert same(held(kind, there.read()), back.read())


@pytest.mark.parametrize("kind", KINDS)
def test_records_and_targets_can_be_sent_to_other_processes(kind, tmp_path):
    target = pickle.loads(pickle.dumps(create_dataset(kind, tmp_path, CATEGORIES)))
    convert.convert(STREETS, target)

    record = reopened(kind, tmp_path).records[0]

    assert same(pickle.loads(pickle.dumps(record)).read(), record.read())


def test_category_ids_are_kept_if_they_fit_into_pixels(tmp_path):
    assert create_dataset("two-channel", tmp_path, CATEGORIES).categories == CATEGORIES
    ids = [c.id for c in create_dataset("cityscapes", tmp_path, CATEGORIES).categories]
    assert ids == [1, 2, 3, 4, 5, 6]


def test_coco_files_hold_scores_and_crowds_but_no_empty_segments(tmp_path):
    kinds = (segment(CAR, score=0.5), segment(SKY), segment(PERSON, iscrowd=True))
    panoptic = panoptic_map([[1, 3]], *kinds)

    result = convert.convert(source(record(panoptic)), create_dataset("coco", tmp_path, CATEGORIES))

    assert result.lost == {EMPTY: 1}
    after = reopened("coco", tmp_path).records[0].read()
    assert after.segments == (kinds[0], kinds[2])


def test_losses_are_summed_over_images(tmp_path):
    panoptic = panoptic_map([[1, 2]], segment(CAR, score=0.5), segment(CAR, iscrowd=True))
    images = source(record(panoptic, 1), record(panoptic, 2))

    result = convert.convert(images, create_dataset("two-channel", tmp_path, CATEGORIES))

    assert result.lost == {CROWDS: 2, SCORES: 2}


@dataclass
class Stopping:
    """Writes COCO maps until one fails, as on a full disk."""

    at: str = ""
    written: list[str] = field(default_factory=list)

    def __call__(self, folder, categories, panoptic, stem):
        if stem == self.at:
            raise OSError(28, "No space left on device")
        self.written.append(stem)
        return create_dataset("coco", folder, categories).write(panoptic, stem)


def stopping(folder, at=""):
    return replace(create_dataset("coco", folder, CATEGORIES), write_map=Stopping(at))


def test_an_interrupted_conversion_resumes_and_gives_the_same(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    convert.convert(STREETS, stopping(whole, at=""))
    with pytest.raises(OSError, match="No space"):
        convert.convert(STREETS, stopping(parts, at="3"))
    assert not (parts / "panoptic.json").exists()
    with (parts / JOURNAL).open("a") as file:
        file.write('{"image": {"id": 3')  # the process was killed while it wrote this

    rest = stopping(parts, at="")
    told = []
    convert.convert(STREETS, rest, on_image=lambda *numbers: told.append(numbers))

    assert rest.write_map.written == ["3", "4", "5"]
    assert told == [(3, 6), (4, 6), (5, 6), (6, 6)]
    first, second = (
        {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        for folder in (whole, parts)
    )
    assert first == second


def test_maps_that_changed_after_an_interruption_are_converted_again(tmp_path):
    maps = [tmp_path / f"{number}.png" for number in range(6)]
    for path in maps:
        path.write_text("as it was")
    images = [replace(each, maps=(p,)) for each, p in zip(STREETS.records, maps, strict=True)]
    with pytest.raises(OSError, match="No space"):
        convert.convert(source(*images), stopping(tmp_path / "out", at="3"))

    maps[1].write_text("repaired")
    rest = stopping(tmp_path / "out")
    convert.convert(source(*images), rest)

    assert rest.write_map.written == ["1", "3", "4", "5"]


@pytest.mark.parametrize("kind", get_args(WritableFormat))
def test_maps_that_were_lost_after_an_interruption_are_converted_again(kind, tmp_path):
    def stop(done, _):
        if done == 2:
            raise KeyboardInterrupt

    images = source(*map(record, [panoptic_map([[1]], segment(PERSON))] * 3, range(3)))
    with pytest.raises(KeyboardInterrupt):
        convert.convert(images, create_dataset(kind, tmp_path, CATEGORIES), on_image=stop)
    written = {path for path in tmp_path.rglob("*") if path.suffix == ".png"}
    for path in written:
        path.unlink()

    convert.convert(images, create_dataset(kind, tmp_path, CATEGORIES))

    assert written
    assert all(path.is_file() for path in written)


def test_classes_with_other_ids_after_an_interruption_are_refused(tmp_path):
    with pytest.raises(OSError, match="No space"):
        convert.convert(STREETS, stopping(tmp_path, at="3"))
    other = Categories(tuple(replace(c, id=c.id + 1) for c in STREETS.categories))

    with pytest.raises(ValueError, match="of another command or of files that have changed"):
        convert.convert(replace(STREETS, categories=other), stopping(tmp_path))


def test_a_conversion_may_be_repeated_with_its_paths_spelled_otherwise(tmp_path, monkeypatch):
    factories.tiny_dataset(tmp_path)
    monkeypatch.chdir(tmp_path)
    name = "panoptic_tiny.json"
    convert.convert(coco.source(Path(name)), stopping(Path("out")))

    again = convert.convert(coco.source(tmp_path / "." / name), stopping(tmp_path / "out"))

    assert again.isrepeated


@pytest.mark.parametrize("line", ["{}", '{"number": 0}', '{"number": 0, "stamps": []}', "[]"])
def test_a_damaged_journal_is_named(line, tmp_path):
    with pytest.raises(OSError, match="No space"):
        convert.convert(STREETS, stopping(tmp_path, at="3"))
    first, *_ = (tmp_path / JOURNAL).read_text().splitlines()
    (tmp_path / JOURNAL).write_text(f"{first}\n{line}\n")

    with pytest.raises(ValueError, match=r"\.journal\.jsonl: damaged; delete its folder"):
        convert.convert(STREETS, stopping(tmp_path))


def test_a_complete_conversion_is_not_repeated_unless_something_changed(tmp_path):
    (tmp_path / "0.png").write_text("as it was")
    images = source(replace(STREETS.records[0], maps=(tmp_path / "0.png",)), *STREETS.records[1:])
    convert.convert(images, stopping(tmp_path / "out"))
    again, lost, changed = (stopping(tmp_path / "out") for _ in range(3))

    assert convert.convert(images, again).isrepeated
    (tmp_path / "out" / "panoptic" / "2.png").unlink()
    assert not convert.convert(images, lost).isrepeated
    (tmp_path / "0.png").write_text("repaired")
    assert not convert.convert(images, changed).isrepeated

    written = [each.write_map.written for each in (again, lost, changed)]
    assert written == [[], list("012345"), list("012345")]
    assert len(coco.source(tmp_path / "out" / "panoptic.json").records) == len(STREETS.records)


def test_two_conversions_are_not_mixed_in_one_folder(tmp_path):
    target = stopping(tmp_path, at="1")
    with pytest.raises(OSError, match="No space"):
        convert.convert(STREETS, target)

    with pytest.raises(ValueError, match="unfinished work of another"):
        convert.convert(source(*STREETS.records[:3]), target)


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "panoptic.json").write_text("precious")

    with pytest.raises(ValueError, match="not empty; choose a new or empty folder"):
        convert.convert(STREETS, create_dataset("coco", tmp_path, CATEGORIES))

    assert (tmp_path / "panoptic.json").read_text() == "precious"


def test_a_file_with_the_name_of_the_folder_is_left_alone(tmp_path):
    (tmp_path / "out").write_text("precious")

    with pytest.raises(ValueError, match="out: not a folder; choose a new or empty one"):
        convert.convert(STREETS, create_dataset("coco", tmp_path / "out", CATEGORIES))

    assert (tmp_path / "out").read_text() == "precious"


def test_a_concurrent_conversion_is_refused_and_leaves_the_first_intact(tmp_path):
    def again(done, _):
        if done == 1:
            with pytest.raises(ValueError, match="another command is writing to it"):
                convert.convert(STREETS, create_dataset("coco", tmp_path, CATEGORIES))

    convert.convert(STREETS, create_dataset("coco", tmp_path, CATEGORIES), on_image=again)

    assert len(coco.source(tmp_path / "panoptic.json").records) == len(STREETS.records)


ONE = panoptic_map([[1]], segment(CAR))


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (
            [record(ONE, 1, "a.jpg"), record(ONE, 2, "a.png")],
            "images 1 and 2 would share a map, since their photos are called a.jpg and a.png",
        ),
        ([record(ONE, 1, "a.jpg"), record(ONE, 1, "b.jpg")], "duplicate image id 1"),
    ],
)
def test_two_images_with_one_name_or_id_are_refused(records, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        convert.convert(source(*records), create_dataset("coco", tmp_path / "out", CATEGORIES))

    assert not (tmp_path / "out").exists()


def test_a_source_without_images_gives_empty_lists(tmp_path):
    convert.convert(source(), create_dataset("coco", tmp_path, CATEGORIES))

    content = json.loads(Path(tmp_path / "panoptic.json").read_text())
    assert (content["images"], content["annotations"]) == ([], [])


def test_a_map_of_another_size_than_stated_is_refused(tmp_path):
    stated = Record(image_id=4, name="a.jpg", image=None, size=(2, 2), read=record(ONE).read)

    with pytest.raises(ValueError, match="image 4: its map is 1x1 pixels; expected 2x2"):
        convert.convert(source(stated), create_dataset("coco", tmp_path, CATEGORIES))


SQUARE = [2, 2, 27, 2, 27, 17, 2, 17]


def outlined(folder, *, photo, listed, exif=None):
    """Write an instances file of one square, and its photo, of sizes (height, width)."""
    options = {}
    if exif is not None:
        options["exif"] = Image.Exif()
        options["exif"][0x112] = exif
    Image.new("RGB", photo[::-1]).save(folder / "a.png", **options)
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": listed[0], "width": listed[1]}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [SQUARE], "area": 375}
        ],
        "categories": [{"id": 1, "name": "car"}],
    }
    (folder / "i.json").write_text(json.dumps(content))
    return open_dataset("coco-instances", annotations=folder / "i.json", images=folder)


def converted_to_coco(source, folder, warnings):
    target = create_dataset("coco", folder, source.categories)
    convert.convert(source, target, on_warning=warnings.append)
    return open_dataset("coco", annotations=folder / "panoptic.json")


def test_the_size_of_the_photo_counts_if_the_listed_one_is_swapped(tmp_path):
    warnings = []
    source = outlined(tmp_path, photo=(20, 30), listed=(30, 20))

    made = converted_to_coco(source, tmp_path / "out", warnings)

    assert made.records[0].size == (20, 30)
    assert made.records[0].read().areas().tolist() == [375]
    assert warnings == [
        "1 of 1 images are listed with height and width swapped; the size of the files counts, "
        "such as a.png"
    ]


@pytest.mark.parametrize(
    ("photo", "listed", "exif", "message"),
    [
        ((20, 31), (20, 30), None, "its map is 20x30 pixels, but .*a.png is 20x31$"),
        ((20, 30), (30, 20), 6, "its map is 30x20 pixels, but .* is 20x30; EXIF turns it"),
    ],
)
def test_a_photo_of_another_size_is_refused(tmp_path, photo, listed, exif, message):
    source = outlined(tmp_path, photo=photo, listed=listed, exif=exif)

    with pytest.raises(ValueError, match=message):
        converted_to_coco(source, tmp_path / "out", [])


def test_missing_and_damaged_photos_are_counted(tmp_path):
    tiny = factories.tiny_dataset(tmp_path)
    source = open_dataset("coco", annotations=tiny.annotations, images=tiny.images)
    source.records[0].image.unlink()
    source.records[1].image.unlink()
    source.records[2].image.write_bytes(b"damaged")
    warnings = []

    made = converted_to_coco(source, tmp_path / "out", warnings)

    assert len(made.records) == 6
    assert warnings == [
        f"2 of 6 photos do not exist, such as {source.records[0].image}",
        f"1 of 6 photos can't be read, such as {source.records[2].image}",
    ]
