import json
from dataclasses import replace

import pytest

import faulty_datasets
from jsisnet.data.dataset import DataConfig, PanopticDataset
from jsisnet.datatools.check.check import Files, Report, check
from jsisnet.datatools.check.rules import Rule, Severity

UNPLANTED = {
    *(Rule.JSON, Rule.NOTHING, Rule.CATEGORY_COUNT, Rule.PHOTO_LEAKED),
    *(Rule.MAP, Rule.HIDDEN),
}
"""Rules that have tests of their own, as they are about everything at once or other formats."""


@pytest.fixture
def streets(tmp_path):
    return faulty_datasets.Streets(tmp_path / "streets")


def counts(report: Report) -> dict[Rule, int]:
    return {fault.rule: fault.count for fault in report.faults}


def with_fault(streets, name):
    rule, plant = faulty_datasets.PLANTS[name]
    plant(streets)
    streets.write()
    return rule


def stop_after(number, files, kept=None, copy=None):
    """Check a data set until so many images are done."""

    def stop(done, _):
        if done == number:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(files, kept=kept, copy=copy, on_image=stop)


def test_nothing_is_found_in_a_sound_data_set(streets):
    report = check(streets.files)

    assert report == Report(images=3, segments=15, faults=())
    assert report.sound


def test_every_rule_has_a_fault_that_breaks_it():
    assert {rule for rule, _ in faulty_datasets.PLANTS.values()} | UNPLANTED == set(Rule)
    assert len(faulty_datasets.PLANTS) >= 25


@pytest.mark.parametrize("name", faulty_datasets.PLANTS)
def test_a_fault_breaks_its_rule_and_no_other(streets, name):
    rule = with_fault(streets, name)

    report = check(streets.files)

    assert set(counts(report)) == {rule}
    assert report.sound == (rule.severity is not Severity.ERROR)


@pytest.mark.parametrize("name", faulty_datasets.PLANTS)
def test_a_repaired_copy_has_no_error_left(streets, tmp_path, name):
    rule = with_fault(streets, name)

    before = check(streets.files, copy=tmp_path / "copy")

    copied = Files(images=streets.photos, annotations=tmp_path / "copy" / streets.json.name)
    after = check(copied)
    assert after.sound == before.repairable
    assert before.repairable == (rule is not Rule.CATEGORY_KIND)
    if rule.repair is not None:
        assert rule not in counts(after)
        assert rule.repair in (tmp_path / "copy" / "changes.txt").read_text()
    if after.sound:
        data = DataConfig(images=str(copied.images), annotations=str(copied.annotations))
        dataset = PanopticDataset(data)
        assert [dataset[index].panoptic.size for index in range(len(dataset))]


def test_a_data_set_may_be_shared_by_processes(streets):
    with_fault(streets, "a_wrong_area")

    assert check(streets.files, processes=2) == check(streets.files)


@pytest.mark.parametrize("text", ['{"images": [{"id": 1', "[1, 2]", '{"images": []}', ""])
def test_a_file_that_is_no_such_json_is_one_error(streets, tmp_path, text):
    streets.json.write_text(text)

    report = check(streets.files, copy=tmp_path / "copy")

    assert counts(report) == {Rule.JSON: 1}
    assert not report.repairable
    assert list((tmp_path / "copy").iterdir()) == []


def test_a_missing_file_is_an_error(streets, tmp_path):
    other = faulty_datasets.Streets(tmp_path / "other")
    streets.json.unlink()

    files = replace(streets.files, other_images=other.photos, other_annotations=other.json)
    (fault,) = check(files).faults

    assert fault.examples == ("can't be read: No such file or directory",)


def test_a_data_set_without_any_segment_is_an_error(streets):
    for name in ("images", "annotations"):
        streets.content[name] = []
    streets.write()

    assert Rule.NOTHING in counts(check(streets.files))


def test_a_data_set_without_any_photo_can_not_be_repaired(streets, tmp_path):
    for position in range(3):
        streets.photo(position).unlink()

    report = check(streets.files, copy=tmp_path / "copy")

    assert counts(report)[Rule.NOTHING] == 1
    assert not report.repairable


def test_there_are_at_most_255_categories(streets):
    for number in range(1000, 1250):
        category = {"id": number, "name": f"{number}", "isthing": 1, "color": [1, 2, number % 250]}
        streets.content["categories"].append(category)
    streets.write()

    assert counts(check(streets.files)) == {Rule.CATEGORY_COUNT: 1, Rule.CATEGORY_UNSEEN: 250}


def test_photos_that_are_in_another_part_too_are_found(streets, tmp_path):
    other = faulty_datasets.Streets(tmp_path / "other")
    other.photo(0).write_bytes(b"nobody is interested in this one")
    other.photo(1).unlink()
    files = replace(streets.files, other_images=other.photos, other_annotations=other.json)

    (fault,) = check(files).faults

    assert (fault.rule, fault.count) == (Rule.PHOTO_LEAKED, 1)
    assert fault.examples == ("'street2.jpeg' has the pixels of the other set's 'street2.jpeg'",)


def test_only_so_many_examples_are_told(streets):
    for info in streets.infos():
        info["area"] += 1
    streets.write()

    (fault,) = check(streets.files, examples=2).faults

    assert (fault.count, len(fault.examples)) == (5, 2)
    assert fault.examples[0] == (
        "image 102: segment 70002: has 2807 pixels, but the JSON file says 2808"
    )


def test_a_check_that_was_stopped_goes_on(streets, tmp_path):
    with_fault(streets, "a_wrong_area")
    kept = tmp_path / "kept"
    whole = check(streets.files)
    stop_after(2, streets.files, kept)
    streets.photo(0).unlink()
    streets.photo(1).unlink()

    assert check(streets.files, kept=kept) == whole

    assert not kept.exists()


def test_half_a_line_of_what_was_kept_is_forgotten(streets, tmp_path):
    kept = tmp_path / "kept"
    stop_after(2, streets.files, kept)
    with kept.open("r+b") as file:
        file.truncate(kept.stat().st_size - 1)
    streets.photo(0).unlink()

    assert check(streets.files, kept=kept).sound


def test_what_was_kept_of_other_files_is_forgotten(streets, tmp_path):
    kept = tmp_path / "kept"
    stop_after(2, streets.files, kept)
    streets.photo(0).unlink()
    streets.content["info"] = "new"
    streets.write()

    assert counts(check(streets.files, kept=kept))[Rule.PHOTO_MISSING] == 1


def test_a_copy_of_a_sound_data_set_differs_in_nothing(streets, tmp_path):
    copy = tmp_path / "copy"

    check(streets.files, copy=copy)

    assert json.loads((copy / streets.json.name).read_text()) == streets.content
    for position in range(3):
        png = streets.png(position)
        assert (copy / streets.pngs.name / png.name).read_bytes() == png.read_bytes()
    assert sorted(path.name for path in copy.iterdir()) == [
        "changes.txt",
        "panoptic_tiny",
        "panoptic_tiny.json",
    ]
    assert (copy / "changes.txt").read_text() == ""


def test_a_copy_that_was_stopped_goes_on(streets, tmp_path):
    copy = tmp_path / "copy"
    stop_after(1, streets.files, copy=copy)

    check(streets.files, copy=copy)

    assert json.loads((copy / streets.json.name).read_text()) == streets.content


def test_a_copy_drops_an_image_whose_map_means_nothing(streets, tmp_path):
    with_fault(streets, "a_grey_map")

    check(streets.files, copy=tmp_path / "copy")

    copied = json.loads((tmp_path / "copy" / streets.json.name).read_text())
    assert [image["id"] for image in copied["images"]] == [100, 101]
    assert [annotation["image_id"] for annotation in copied["annotations"]] == [100, 101]
    (line,) = (tmp_path / "copy" / "changes.txt").read_text().splitlines()
    assert line.startswith("png: image 102: ")
    assert line.endswith("8-bit RGB: the image is dropped: other colors can't be guessed")


def test_a_copy_keeps_what_it_does_not_know(streets, tmp_path):
    streets.content["licenses"] = [{"id": 1, "name": "CC BY"}]
    streets.content["images"][0]["license"] = 1
    streets.infos()[0]["area"], streets.infos()[0]["note"] = 5, "blue"
    streets.write()

    check(streets.files, copy=tmp_path / "copy")

    copied = json.loads((tmp_path / "copy" / streets.json.name).read_text())
    assert copied["licenses"] == streets.content["licenses"]
    assert copied["images"] == streets.content["images"]
    info = copied["annotations"][faulty_datasets.LAST]["segments_info"][0]
    assert info == streets.infos()[0] | {"area": 2807}


def test_a_copy_may_not_replace_the_original(streets):
    with pytest.raises(ValueError, match="the copy would replace"):
        check(streets.files, copy=streets.json.parent)


@pytest.mark.parametrize("name", ["images", "pngs", "other_images"])
def test_a_missing_folder_is_refused(streets, tmp_path, name):
    with pytest.raises(ValueError, match=r"the folder .*nowhere,? does not exist"):
        check(replace(streets.files, **{name: tmp_path / "nowhere"}))


def test_another_part_that_is_no_json_is_refused(streets, tmp_path):
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    files = replace(streets.files, other_images=streets.photos, other_annotations=broken)

    with pytest.raises(ValueError, match=r"broken\.json: is not JSON"):
        check(files)
