import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

import faulty_datasets
from faulty_datasets import DEFECTS
from jsisnet.datatools.check.check import DatasetPaths, check
from jsisnet.datatools.check.rules import Report, Rule, Severity
from jsisnet.formats.dataset import DataConfig, PanopticDataset

OTHER_RULES = {
    *(Rule.JSON, Rule.NOTHING, Rule.CATEGORY_COUNT, Rule.PHOTO_LEAKED),
    *(Rule.MAP, Rule.HIDDEN, Rule.TOLERATED, Rule.ANNOTATION_ID, Rule.IMAGE_AGAIN),
    *(rule for rule in Rule if rule.name.startswith("OUTLINE")),
}
"""Rules about the whole data set or other formats, which have tests of their own."""


@pytest.fixture
def streets(tmp_path):
    return faulty_datasets.Streets(tmp_path / "streets")


def counts(report: Report) -> dict[Rule, int]:
    return {each.rule: each.count for each in report.violations}


def add_defect(streets, name):
    rule, defect = faulty_datasets.DEFECTS[name]
    defect(streets)
    streets.write()
    return rule


def interrupt_after(number, paths, journal_path=None, copy=None):
    """Check a data set and interrupt it after some images."""

    def stop(done, _):
        if done == number:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(paths, journal_path=journal_path, copy=copy, on_image=stop)


def test_a_valid_data_set_has_no_violations(streets):
    report = check(streets.paths)

    assert report == Report(images=3, segments=15, violations=())
    assert report.valid


def test_every_rule_has_a_defect_that_violates_it():
    assert {rule for rule, _ in faulty_datasets.DEFECTS.values()} | OTHER_RULES == set(Rule)
    assert len(faulty_datasets.DEFECTS) >= 25


@pytest.mark.parametrize("name", faulty_datasets.DEFECTS)
def test_a_defect_violates_its_rule_and_no_other(streets, name):
    rule = add_defect(streets, name)

    report = check(streets.paths)

    assert set(counts(report)) == {rule}
    assert report.valid == (rule.severity is not Severity.ERROR)


@pytest.mark.parametrize("name", faulty_datasets.DEFECTS)
def test_a_repaired_copy_has_no_errors(streets, tmp_path, name):
    rule = add_defect(streets, name)

    before = check(streets.paths, copy=tmp_path / "copy")

    copied = DatasetPaths(images=streets.photos, annotations=tmp_path / "copy" / streets.json.name)
    after = check(copied)
    assert after.valid == before.repairable
    assert before.repairable == (rule is not Rule.CATEGORY_KIND)
    if rule.repair is not None:
        assert rule not in counts(after)
        assert rule.repair in (tmp_path / "copy" / "changes.txt").read_text()
    if after.valid:
        data = DataConfig(images=str(copied.images), annotations=str(copied.annotations))
        dataset = PanopticDataset(data)
        assert [dataset[index].panoptic.size for index in range(len(dataset))]


def test_several_processes_find_the_same(streets):
    add_defect(streets, "a_wrong_area")

    assert check(streets.paths, processes=2) == check(streets.paths)


@pytest.mark.parametrize("text", ['{"images": [{"id": 1', "[1, 2]", '{"images": []}', ""])
def test_a_damaged_json_file_is_one_error(streets, tmp_path, text):
    streets.json.write_text(text)

    report = check(streets.paths, copy=tmp_path / "copy")

    assert counts(report) == {Rule.JSON: 1}
    assert not report.repairable
    assert list((tmp_path / "copy").iterdir()) == []


def test_a_missing_file_is_an_error(streets, tmp_path):
    other = faulty_datasets.Streets(tmp_path / "other")
    streets.json.unlink()

    paths = replace(streets.paths, other_images=other.photos, other_annotations=other.json)
    (violated,) = check(paths).violations

    assert violated.examples == ("can't be read: No such file or directory",)


def test_a_data_set_without_any_segment_is_an_error(streets):
    for name in ("images", "annotations"):
        streets.content[name] = []
    streets.write()

    assert Rule.NOTHING in counts(check(streets.paths))


def test_a_data_set_without_any_photo_cannot_be_repaired(streets, tmp_path):
    for position in range(3):
        streets.photo(position).unlink()

    report = check(streets.paths, copy=tmp_path / "copy")

    assert counts(report)[Rule.NOTHING] == 1
    assert not report.repairable


@pytest.mark.parametrize("color", [[1, 2, 3, 4], [0, 0, 256], [0.1, 0.2, 0.3], "red", {}, 7])
def test_a_repaired_copy_lacks_an_unreadable_color_but_keeps_its_category(streets, tmp_path, color):
    streets.content["categories"][1]["color"] = color
    streets.write()

    report = check(streets.paths, copy=tmp_path / "copy")

    assert report.valid
    assert counts(report)[Rule.CATEGORY_FIELD] == 1
    copied = json.loads((tmp_path / "copy" / streets.json.name).read_text())
    changed = dict(streets.content["categories"][1])
    del changed["color"]
    assert copied["categories"][1] == changed
    assert copied["annotations"] == streets.content["annotations"]


def test_a_repaired_copy_keeps_segments_with_a_strange_flag(streets, tmp_path):
    streets.content["annotations"][0]["segments_info"][0]["iscrowd"] = [0]
    streets.write()

    report = check(streets.paths, copy=tmp_path / "copy")

    assert counts(report)[Rule.ISCROWD] == 1
    copied = json.loads((tmp_path / "copy" / streets.json.name).read_text())
    assert copied["annotations"][0]["segments_info"][0]["iscrowd"] == 0


@pytest.mark.parametrize("name", [n for n, (r, _) in DEFECTS.items() if r is Rule.QUOTES])
def test_a_repaired_copy_has_numbers_without_quotes(streets, tmp_path, name):
    before = json.loads(streets.json.read_text())
    add_defect(streets, name)

    assert check(streets.paths, copy=tmp_path / "copy").repairable

    copied = json.loads((tmp_path / "copy" / streets.json.name).read_text())
    assert copied["annotations"] == before["annotations"]
    assert copied["categories"] == before["categories"]


def test_an_unused_category_that_repeats_a_name_is_dropped(streets, tmp_path):
    add_defect(streets, "an_unused_category_with_the_name_of_another")

    assert check(streets.paths, copy=tmp_path / "copy").valid

    copied = json.loads((tmp_path / "copy" / streets.json.name).read_text())
    assert copied["categories"] == streets.content["categories"][1:]


def test_there_may_be_thousands_of_categories(streets):
    for number in range(1000, 3000):
        color = [1 + number // 250, 2, number % 250]
        category = {"id": number, "name": f"{number}", "isthing": 1, "color": color}
        streets.content["categories"].append(category)
    streets.write()

    assert counts(check(streets.paths)) == {Rule.CATEGORY_UNSEEN: 2000}


def test_photos_that_are_also_in_the_other_data_set_are_found(streets, tmp_path):
    other = faulty_datasets.Streets(tmp_path / "other")
    other.photo(0).write_bytes(b"not a photo")
    other.photo(1).unlink()
    paths = replace(streets.paths, other_images=other.photos, other_annotations=other.json)

    (violated,) = check(paths).violations

    assert (violated.rule, violated.count) == (Rule.PHOTO_LEAKED, 1)
    text = "'street2.jpeg' has the same pixels as 'street2.jpeg' of the other data set"
    assert violated.examples == (text,)


def test_the_number_of_examples_is_limited(streets):
    for info in streets.infos():
        info["area"] += 1
    streets.write()

    (violated,) = check(streets.paths, examples=2).violations

    assert (violated.count, len(violated.examples)) == (5, 2)
    assert violated.examples[0] == (
        "image 102: segment 70002: 2807 pixels, but the JSON file says 2808"
    )


def test_an_interrupted_check_resumes(streets, tmp_path):
    add_defect(streets, "a_wrong_area")
    journal = tmp_path / "journal"
    whole = check(streets.paths)
    interrupt_after(2, streets.paths, journal)
    for number in range(2):
        damage_unnoticed(streets.photo(number))

    assert check(streets.paths, journal_path=journal) == whole

    assert not journal.exists()


def damage_unnoticed(path):
    """Damage a file, but leave its size and time, so that it is only noticed by reading it."""
    status = path.stat()
    path.write_bytes(bytes(status.st_size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_what_changed_after_an_interruption_is_checked_again(streets, tmp_path):
    photo, png = streets.photo(0).read_bytes(), streets.png(1).read_bytes()
    streets.photo(0).write_bytes(photo[:100])
    streets.png(1).write_bytes(png[:100])
    interrupt_after(2, streets.paths, tmp_path / "journal")
    streets.photo(0).write_bytes(photo)
    streets.png(1).write_bytes(png)

    assert check(streets.paths, journal_path=tmp_path / "journal").violations == ()


@pytest.mark.parametrize("lies", ["photos", "maps"])
def test_a_link_that_was_replaced_after_an_interruption_is_checked_again(streets, tmp_path, lies):
    path = streets.photo(0) if lies == "photos" else streets.png(0)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    interrupt_after(2, streets.paths, tmp_path / "journal")
    (tmp_path / "elsewhere").replace(path)

    assert check(streets.paths, journal_path=tmp_path / "journal").violations == ()


def test_another_data_set_that_changed_after_an_interruption_is_checked_again(streets, tmp_path):
    other = faulty_datasets.Streets(tmp_path / "other")
    whole = other.photo(2).read_bytes()
    for position in range(3):
        other.photo(position).write_bytes(b"unreadable")
    paths = replace(streets.paths, other_images=other.photos, other_annotations=other.json)
    interrupt_after(5, paths, tmp_path / "journal")
    other.photo(2).write_bytes(whole)
    other.content["images"].reverse()
    other.write()

    report = check(paths, journal_path=tmp_path / "journal")

    assert counts(report)[Rule.PHOTO_LEAKED] == 1


def test_the_same_paths_in_another_folder_are_other_files(tmp_path, monkeypatch):
    for name in ("one", "two"):
        streets = faulty_datasets.Streets(tmp_path / name)
        monkeypatch.chdir(streets.json.parent)
        paths = DatasetPaths(
            images=streets.photos.relative_to(Path.cwd()), annotations=Path(streets.json.name)
        )
        if name == "one":
            streets.photo(0).write_bytes(b"unreadable")
            interrupt_after(2, paths, tmp_path / "journal")

    assert check(paths, journal_path=tmp_path / "journal").violations == ()


def test_an_incomplete_last_line_of_the_journal_is_dropped(streets, tmp_path):
    journal = tmp_path / "journal"
    interrupt_after(2, streets.paths, journal)
    with journal.open("r+b") as file:
        file.truncate(journal.stat().st_size - 1)
    damage_unnoticed(streets.photo(0))

    assert check(streets.paths, journal_path=journal).valid


def test_a_journal_of_other_files_is_dropped(streets, tmp_path):
    journal = tmp_path / "journal"
    interrupt_after(2, streets.paths, journal)
    damage_unnoticed(streets.photo(0))
    streets.content["info"] = "new"
    streets.write()

    assert counts(check(streets.paths, journal_path=journal))[Rule.PHOTO] == 1


def test_a_copy_of_a_valid_data_set_is_identical(streets, tmp_path):
    copy = tmp_path / "copy"

    check(streets.paths, copy=copy)

    assert json.loads((copy / streets.json.name).read_text()) == streets.content
    for position in range(3):
        png = streets.png(position)
        assert (copy / streets.pngs.name / png.name).read_bytes() == png.read_bytes()
    assert sorted(path.name for path in copy.glob("[!.]*")) == [
        "changes.txt",
        "panoptic_tiny",
        "panoptic_tiny.json",
    ]
    assert (copy / "changes.txt").read_text() == ""


def test_an_interrupted_copy_resumes(streets, tmp_path):
    copy = tmp_path / "copy"
    interrupt_after(2, streets.paths, copy=copy)
    (copy / streets.pngs.name / streets.png(0).name).unlink()

    check(streets.paths, copy=copy)

    assert (copy / streets.pngs.name / streets.png(0).name).is_file()
    assert json.loads((copy / streets.json.name).read_text()) == streets.content


def test_a_copy_is_written_again_by_the_same_check_but_not_by_another(streets, tmp_path):
    copy = tmp_path / "copy"
    first = check(streets.paths, copy=copy)
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}

    assert check(streets.paths, copy=copy) == first

    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before
    moved = replace(streets.paths, pngs=streets.pngs)
    with pytest.raises(ValueError, match="the result of another command"):
        check(moved, copy=copy)


def test_a_copy_drops_an_image_whose_map_lost_its_ids(streets, tmp_path):
    add_defect(streets, "a_grey_map")

    check(streets.paths, copy=tmp_path / "copy")

    copied = json.loads((tmp_path / "copy" / streets.json.name).read_text())
    assert [image["id"] for image in copied["images"]] == [100, 101]
    assert [annotation["image_id"] for annotation in copied["annotations"]] == [100, 101]
    (line,) = (tmp_path / "copy" / "changes.txt").read_text().splitlines()
    assert line.startswith("png: image 102: ")
    assert line.endswith("8-bit RGB: image dropped, as its ids are lost")


def test_a_name_with_a_line_break_is_one_line_of_the_changes(streets, tmp_path):
    streets.content["annotations"][faulty_datasets.LAST]["file_name"] = "a\njson: repaired.png"
    streets.write()

    check(streets.paths, copy=tmp_path / "copy")

    (line,) = (tmp_path / "copy" / "changes.txt").read_text().splitlines()
    assert r"a\njson: repaired.png does not exist" in line


def test_a_photo_that_differs_in_case_is_no_link_to_elsewhere(streets):
    original = streets.photo().rename(streets.json.with_name("elsewhere.jpg"))
    streets.photo().with_name(streets.photo().name.upper()).symlink_to(original)

    assert counts(check(streets.paths)) == {Rule.PHOTO_MISSING: 1}


def test_a_copy_keeps_unknown_fields(streets, tmp_path):
    streets.content["licenses"] = [{"id": 1, "name": "CC BY"}]
    streets.content["images"][0]["license"] = 1
    streets.infos()[0]["area"], streets.infos()[0]["note"] = 5, "blue"
    streets.write()

    check(streets.paths, copy=tmp_path / "copy")

    copied = json.loads((tmp_path / "copy" / streets.json.name).read_text())
    assert copied["licenses"] == streets.content["licenses"]
    assert copied["images"] == streets.content["images"]
    info = copied["annotations"][faulty_datasets.LAST]["segments_info"][0]
    assert info == streets.infos()[0] | {"area": 2807}


def test_a_copy_may_not_overwrite_the_original(streets):
    with pytest.raises(ValueError, match="the copy would overwrite"):
        check(streets.paths, copy=streets.json.parent)


@pytest.mark.parametrize("name", ["images", "pngs", "other_images"])
def test_a_missing_folder_is_refused(streets, tmp_path, name):
    with pytest.raises(ValueError, match=r"the folder .*nowhere,? does not exist"):
        check(replace(streets.paths, **{name: tmp_path / "nowhere"}))


def test_a_damaged_json_file_of_the_other_data_set_is_refused(streets, tmp_path):
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    paths = replace(streets.paths, other_images=streets.photos, other_annotations=broken)

    with pytest.raises(ValueError, match=r"broken\.json: invalid JSON"):
        check(paths)
