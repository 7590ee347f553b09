import json
import stat
import zipfile
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import pytest
from PIL import Image

import factories
from factories import CAR, CATEGORIES, SKY, panoptic_map, segment
from jsisnet.datatools import submission
from jsisnet.datatools.submission import ANNOTATIONS
from jsisnet.datatools.submission_check import MAX_EXAMPLES, ArchiveRule, check_archive
from jsisnet.formats import coco, image_list
from jsisnet.formats.coco import SegmentInfo

TITLE = "panoptic_val_mine_results"
SIZES = {7: (2, 3), "eight": (1, 4)}
MAPS = {
    7: panoptic_map([[1, 1, 1], [2, 3, 0]], segment(SKY), segment(CAR), segment(CAR)),
    "eight": panoptic_map([[0, 0, 0, 0]]),
}
SEGMENTS = [{"id": 1, "category_id": 92}, {"id": 2, "category_id": 3}, {"id": 3, "category_id": 3}]


@pytest.fixture
def expected(tmp_path):
    """A list of one image with an integer id and one with a string id."""
    images = [
        {"id": number, "file_name": f"{number}.jpg", "height": height, "width": width}
        for number, (height, width) in SIZES.items()
    ]
    path = tmp_path / "list.json"
    path.write_text(json.dumps({"images": images, "categories": factories.category_entries()}))
    return image_list.read(path)


@pytest.fixture
def predictions(tmp_path):
    """Predictions in files, as `predict` writes them."""
    with coco.writing(tmp_path / "mine.json", CATEGORIES) as writer:
        for number, panoptic in MAPS.items():
            writer.add(panoptic, image_id=number, image_name=f"{number}.jpg")
    return coco.read_annotations(tmp_path / "mine.json", predicted=True)


@pytest.fixture
def archive(tmp_path, predictions, expected):
    """A valid archive."""
    path = tmp_path / f"{TITLE}.zip"
    submission.write_archive(path, predictions.annotations, tmp_path / "mine", expected)
    return path


def with_files(archive, files):
    """Rewrite an archive with other contents of some files; ``None`` leaves a file out."""
    with ZipFile(archive) as file:
        contents = {name: file.read(name) for name in file.namelist()}
    with ZipFile(archive, "w") as file:
        for name, content in (contents | files).items():
            if content is not None:
                file.writestr(name, content)
    return archive


def with_json(archive, *keys, **values):
    """Rewrite an archive with other values in the JSON object at a path of keys."""
    with ZipFile(archive) as file:
        content = json.loads(file.read(f"{TITLE}.json"))
    target = content
    for key in keys:
        target = target[key]
    target.update(values)
    return with_files(archive, {f"{TITLE}.json": json.dumps(content)})


def violations(archive, expected):
    return {each.rule: each.examples for each in check_archive(archive, expected)}


def png(tmp_path, panoptic, mode="RGB"):
    """Return the bytes of a map as a PNG of a given mode."""
    path = tmp_path / "other.png"
    coco.write_png(panoptic, path)
    with Image.open(path) as image:
        image.convert(mode).save(path)
    return path.read_bytes()


def test_an_archive_holds_one_json_file_and_the_folder_of_its_pngs(archive):
    with ZipFile(archive) as file:
        kinds = {entry.filename: entry.compress_type for entry in file.infolist()}
        content = json.loads(file.read(f"{TITLE}.json"))

    assert kinds == {
        f"{TITLE}.json": zipfile.ZIP_DEFLATED,
        f"{TITLE}/7.png": zipfile.ZIP_STORED,
        f"{TITLE}/eight.png": zipfile.ZIP_STORED,
    }
    assert content == {
        "annotations": [
            {"image_id": 7, "file_name": "7.png", "segments_info": SEGMENTS},
            {"image_id": "eight", "file_name": "eight.png", "segments_info": []},
        ]
    }


def test_unpacked_maps_equal_the_packed_ones(archive, tmp_path):
    with ZipFile(archive) as file:
        file.extractall(tmp_path / "unpacked")

    unpacked = coco.read_annotations(
        tmp_path / "unpacked" / f"{TITLE}.json", categories=CATEGORIES, predicted=True
    )

    for annotation in unpacked.annotations:
        panoptic = coco.read_png(annotation, CATEGORIES)
        assert panoptic.ids.tolist() == MAPS[annotation.image_id].ids.tolist()
        assert panoptic.segments == MAPS[annotation.image_id].segments
    assert stat.S_IMODE((tmp_path / "unpacked" / f"{TITLE}.json").stat().st_mode) & stat.S_IRUSR


def test_the_same_maps_give_the_same_archive(archive, tmp_path, predictions, expected):
    again = tmp_path / "again" / archive.name
    submission.write_archive(again, predictions.annotations, tmp_path / "mine", expected)

    assert again.read_bytes() == archive.read_bytes()


def test_an_invalid_archive_does_not_appear(tmp_path, predictions, expected):
    path = tmp_path / "out" / f"{TITLE}.zip"

    with pytest.raises(submission.InvalidArchiveError) as raised:
        submission.write_archive(path, predictions.annotations[:1], tmp_path / "mine", expected)

    assert [each.rule for each in raised.value.violations] == [ArchiveRule.IMAGES]
    assert list(path.parent.iterdir()) == []


def test_the_name_has_split_and_method():
    assert (
        submission.archive_stem("test-dev2017", "jsisnet")
        == "panoptic_test-dev2017_jsisnet_results"
    )


@pytest.mark.parametrize("part", ["", "a/b", "..", "a b", "-x"])
def test_names_with_other_characters_are_refused(part):
    with pytest.raises(ValueError, match="cannot be part of a file name"):
        submission.archive_stem("val2017", part)


def test_a_valid_archive_has_no_violations(archive, expected):
    progress = []

    assert (
        check_archive(archive, expected, on_image=lambda *numbers: progress.append(numbers)) == ()
    )
    assert progress == [(1, 2), (2, 2)]


def test_folder_entries_and_compression_are_allowed(archive, expected):
    with ZipFile(archive) as file:
        contents = {name: file.read(name) for name in file.namelist()}
    with ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.mkdir(TITLE)
        for name, content in contents.items():
            file.writestr(name, content)

    assert check_archive(archive, expected) == ()


def test_a_file_that_is_not_a_zip_is_reported(tmp_path, expected):
    path = tmp_path / "mine.zip"
    path.write_bytes(b"no zip")

    assert violations(path, expected) == {
        ArchiveRule.ZIP: ("it can't be read (File is not a zip file)",)
    }


def test_an_archive_of_an_unknown_version_is_reported(archive, expected):
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\x01\x02") + 6] = 84
    archive.write_bytes(content)

    assert violations(archive, expected) == {
        ArchiveRule.ZIP: ("it can't be read (zip file version 8.4)",)
    }


def test_a_truncated_archive_is_reported(archive, expected):
    archive.write_bytes(archive.read_bytes()[:-30])

    assert list(violations(archive, expected)) == [ArchiveRule.ZIP]


def test_a_damaged_file_is_reported_and_the_others_are_checked(archive, expected):
    content = archive.read_bytes()
    place = content.index(b"IHDR")
    archive.write_bytes(content[:place] + b"????" + content[place + 4 :])

    (example,) = violations(archive, expected)[ArchiveRule.ZIP]
    assert example.startswith("image 7: its PNG can't be read (Bad CRC-32")


def test_an_encrypted_json_file_is_reported(archive, expected):
    content = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(signature) + offset] |= 1
    archive.write_bytes(content)

    (example,) = violations(archive, expected)[ArchiveRule.ZIP]
    assert example.startswith("the JSON file can't be read (")
    assert "encrypted" in example


@pytest.mark.parametrize("name", ["../7.png", "/etc/passwd", "C:\\7.png", f"{TITLE}/../../x.png"])
def test_paths_that_lead_outside_are_reported(archive, expected, name):
    with_files(archive, {name: b""})

    assert violations(archive, expected) == {
        ArchiveRule.PATHS: (f"{name!r} is not a file inside the archive",)
    }


def test_links_are_reported(archive, expected):
    link = ZipInfo(f"{TITLE}/9.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with ZipFile(archive, "a") as file:
        file.writestr(link, "/etc/passwd")

    assert list(violations(archive, expected)) == [ArchiveRule.PATHS]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicate_paths_are_reported(archive, expected):
    with ZipFile(archive, "a") as file:
        file.writestr(f"{TITLE}/7.png", b"")

    assert violations(archive, expected) == {ArchiveRule.PATHS: (f"'{TITLE}/7.png' occurs twice",)}


def test_an_extra_outer_folder_is_reported(archive, expected):
    with ZipFile(archive) as file:
        contents = {f"outer/{name}": file.read(name) for name in file.namelist()}
    with ZipFile(archive, "w") as file:
        for name, content in contents.items():
            file.writestr(name, content)

    assert violations(archive, expected) == {
        ArchiveRule.LAYOUT: ("expected one JSON file outside any folder, found none",)
    }


def test_two_json_files_are_reported(archive, expected):
    with_files(archive, {"other.json": b"{}"})

    (example,) = violations(archive, expected)[ArchiveRule.LAYOUT]
    assert example.endswith(f"found '{TITLE}.json', 'other.json'")


@pytest.mark.parametrize("name", ["notes.txt", "elsewhere/9.png", f"{TITLE}/9.jpg"])
def test_other_files_are_reported(archive, expected, name):
    with_files(archive, {name: b""})

    assert violations(archive, expected) == {
        ArchiveRule.LAYOUT: (f"{name!r} is not a PNG in the folder '{TITLE}'",)
    }


def test_a_wrong_json_name_is_reported(archive, expected):
    with ZipFile(archive) as file:
        contents = {name.replace(TITLE, "mine"): file.read(name) for name in file.namelist()}
    with ZipFile(archive, "w") as file:
        for name, content in contents.items():
            file.writestr(name, content)

    (example,) = violations(archive, expected)[ArchiveRule.NAMES]
    assert example.startswith("the JSON file is called 'mine.json'; expected panoptic_SPLIT_")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"annotations": [', "Expecting value"),
        (b'{"annotations": [NaN]}', "NaN is not valid JSON"),
        (b'{"annotations": [{"score": 1e999}]}', "1e999 is too large"),
        (b'{"annotations": [], "annotations": []}', "duplicate key"),
        (b'{"annotations": []} {}', "Extra data"),
        (b'\xef\xbb\xbf{"annotations": []}', "BOM"),
        (b'{"annotations": ["\xff"]}', "can't decode byte"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[]", "expected an object"),
        (b"{}", "missing 'annotations'"),
        (b'{"annotations": {}}', "expected a list"),
    ],
)
def test_invalid_json_is_reported(archive, expected, text, reason):
    with_files(archive, {f"{TITLE}.json": text})

    (example,) = violations(archive, expected)[ArchiveRule.JSON]
    assert example.startswith("the JSON file: ")
    assert reason in example


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"image_id": 7.5}, "annotations[0]: 'image_id' is 7.5"),
        ({"file_name": 7}, "annotations[0]: 'file_name' is 7"),
        ({"segments_info": {}}, "annotations[0]: 'segments_info' is {}"),
        ({"segments_info": [{"id": 1}]}, "annotations[0]: segments_info[0]: missing 'category_id'"),
        (
            {"segments_info": [{"id": 0, "category_id": 3}]},
            "annotations[0]: segments_info[0]: 'id' ",
        ),
        ({"segments_info": [{"id": 2**24}]}, "annotations[0]: segments_info[0]: 'id' is 16777216"),
    ],
)
def test_an_invalid_annotation_is_reported(archive, expected, values, reason):
    with_json(archive, "annotations", 0, **values)

    (example,) = violations(archive, expected)[ArchiveRule.ENTRIES]
    assert example.startswith(reason)


def test_missing_duplicate_and_unlisted_images_are_reported(archive, expected):
    with ZipFile(archive) as file:
        first = json.loads(file.read(f"{TITLE}.json"))["annotations"][0]
    with_json(archive, annotations=[first, first, first | {"image_id": "7"}])

    assert violations(archive, expected)[ArchiveRule.IMAGES] == (
        "image 7: two annotations",
        "image '7': not in the list",
        "image 'eight': no annotation",
    )


def test_missing_shared_and_extra_pngs_are_reported(archive, expected):
    with_json(archive, "annotations", 1, file_name="7.png")
    with_files(archive, {f"{TITLE}/9.png": b""})

    assert violations(archive, expected) == {
        ArchiveRule.FILES: (
            "image 'eight': '7.png' is already the PNG of image 7",
            "'eight.png': no annotation names this PNG",
            "'9.png': no annotation names this PNG",
        )
    }
    with_files(archive, {f"{TITLE}/7.png": None})
    assert (
        violations(archive, expected)[ArchiveRule.FILES][0]
        == "image 7: its PNG '7.png' is not in the folder"
    )


@pytest.mark.parametrize("mode", ["RGBA", "L", "P", "1"])
def test_pngs_of_other_modes_are_reported(archive, expected, tmp_path, mode):
    with_files(archive, {f"{TITLE}/7.png": png(tmp_path, MAPS[7], mode)})

    assert violations(archive, expected) == {
        ArchiveRule.PNGS: ("image 7: its PNG has no 8-bit RGB pixels",)
    }


@pytest.mark.parametrize("length", [0, 4, 40])
def test_truncated_pngs_are_reported(archive, expected, tmp_path, length):
    with_files(archive, {f"{TITLE}/7.png": png(tmp_path, MAPS[7])[:length]})

    assert list(violations(archive, expected)) == [ArchiveRule.PNGS]


def test_a_file_that_is_far_too_large_for_a_map_is_not_read(archive, expected):
    with_files(archive, {f"{TITLE}/7.png": bytes(2**21)})

    assert violations(archive, expected) == {
        ArchiveRule.PNGS: ("image 7: its PNG has 2,097,152 bytes, too many for its size",)
    }


def test_maps_of_another_size_are_reported(archive, expected, tmp_path):
    with_files(
        archive, {f"{TITLE}/7.png": png(tmp_path, panoptic_map([[1, 2, 3]], *MAPS[7].segments))}
    )

    assert violations(archive, expected) == {
        ArchiveRule.SIZES: ("image 7: its PNG is 1x3 pixels, but its photo is 2x3",)
    }


@pytest.mark.parametrize(
    ("segments", "reason"),
    [
        (SEGMENTS[:2], "segment 3: in the PNG, but not in the JSON file"),
        ([*SEGMENTS, {"id": 4, "category_id": 3}], "segment 4 is listed but has no pixels"),
        ([*SEGMENTS, SEGMENTS[2]], "segment 3 is listed 2 times"),
    ],
)
def test_different_ids_are_reported(archive, expected, segments, reason):
    with_json(archive, "annotations", 0, segments_info=segments)

    assert violations(archive, expected) == {ArchiveRule.IDS: (f"image 7: {reason}",)}


def test_unknown_categories_are_reported(archive, expected):
    with_json(archive, "annotations", 0, "segments_info", 0, category_id=1000)

    assert violations(archive, expected) == {
        ArchiveRule.CATEGORIES: ("image 7: unknown category 1000",)
    }


def test_stuff_in_several_segments_is_reported(archive, expected):
    for number in (1, 2):
        with_json(archive, "annotations", 0, "segments_info", number, category_id=100)

    assert violations(archive, expected) == {ArchiveRule.STUFF: ("image 7: 'road' has 2 segments",)}


def test_all_violations_are_counted_and_some_are_kept_as_examples(archive, expected):
    with_files(archive, {f"{number}.txt": b"" for number in range(9)})

    (violated,) = check_archive(archive, expected)

    assert (violated.rule, violated.count, len(violated.examples)) == (
        ArchiveRule.LAYOUT,
        9,
        MAX_EXAMPLES,
    )


def test_a_missing_archive_raises_an_error(tmp_path, expected):
    with pytest.raises(FileNotFoundError):
        check_archive(Path(tmp_path, "nowhere.zip"), expected)


STREET = panoptic_map([[1, 1, 2]], segment(SKY), segment(CAR))
NOTHING = panoptic_map([[0, 0, 0]])


STAMPS = {image_id: [f"{image_id}.jpg", 1, 2] for image_id in (7, 8, 9, "eight")}


def open_maps(folder, purpose="test", stamps=STAMPS):
    return submission.open_map_folder(folder, purpose, stamps)


def add(folder, image_id, panoptic=STREET):
    with open_maps(folder) as maps:
        name, stamp = f"{image_id}.png", STAMPS[image_id]
        maps.add(panoptic, CATEGORIES, image_id=image_id, name=name, stamp=stamp)


def test_maps_remain_when_the_folder_is_opened_again(tmp_path):
    add(tmp_path / "maps", 7)
    add(tmp_path / "maps", "eight", NOTHING)

    with open_maps(tmp_path / "maps") as maps:
        first, second = maps

    assert maps.done == {7, "eight"}
    assert first.image_id == 7
    assert first.segments_info == (
        SegmentInfo(id=1, category_id=CATEGORIES[SKY].id),
        SegmentInfo(id=2, category_id=CATEGORIES[CAR].id),
    )
    assert first.png == tmp_path / "maps" / "pngs" / "7.png"
    assert (second.image_id, second.segments_info) == ("eight", ())
    assert second.png.is_file()


def test_an_incomplete_last_line_is_dropped(tmp_path):
    add(tmp_path / "maps", 7)
    whole = (tmp_path / "maps" / ANNOTATIONS).read_bytes()
    add(tmp_path / "maps", 8)

    for length in range(len(whole)):
        (tmp_path / "maps" / ANNOTATIONS).write_bytes(whole[:length])
        add(tmp_path / "maps", 9)
        with open_maps(tmp_path / "maps") as maps:
            assert maps.done == {9}
            assert [annotation.image_id for annotation in maps] == [9]


def test_maps_of_changed_photos_and_maps_that_are_gone_are_not_done(tmp_path):
    for image_id in (7, 8, 9):
        add(tmp_path / "maps", image_id)
    (tmp_path / "maps" / "pngs" / "8.png").unlink()

    with open_maps(tmp_path / "maps", stamps=STAMPS | {7: ["7.jpg", 1, 3]}) as maps:
        assert maps.done == {9}


def test_maps_come_in_the_order_of_the_images(tmp_path):
    add(tmp_path / "maps", 9)
    add(tmp_path / "maps", 7)

    with open_maps(tmp_path / "maps") as maps:
        assert [annotation.image_id for annotation in maps] == [7, 9]


def test_maps_of_two_purposes_are_not_mixed(tmp_path):
    add(tmp_path / "maps", 7)

    with (
        pytest.raises(ValueError, match="maps: maps of other photos or of another model"),
        open_maps(tmp_path / "maps", "something else"),
    ):
        pass


@pytest.mark.parametrize("line", ["{", "[]", '{"other": 1}', '{"image_id": []}'])
def test_a_damaged_line_is_reported(tmp_path, line):
    add(tmp_path / "maps", 7)
    with (tmp_path / "maps" / ANNOTATIONS).open("a") as file:
        file.write(f"{line}\n")

    with (
        pytest.raises(ValueError, match="damaged; delete the folder to start again"),
        open_maps(tmp_path / "maps"),
    ):
        pass


def test_remove_deletes_the_folder(tmp_path):
    add(tmp_path / "maps", 7)

    with open_maps(tmp_path / "maps") as maps:
        maps.remove()

    assert list(tmp_path.iterdir()) == []


def test_two_commands_do_not_write_to_one_folder(tmp_path):
    pytest.importorskip("fcntl", reason="the system has no such locks")

    with (
        open_maps(tmp_path / "maps"),
        pytest.raises(ValueError, match="maps: another command is writing to it"),
        open_maps(tmp_path / "maps"),
    ):
        pass
