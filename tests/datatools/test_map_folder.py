import pytest

from factories import CAR, CATEGORIES, ROAD, SKY, panoptic_map, segment
from jsisnet.formats import map_folder
from jsisnet.formats.coco import SegmentInfo
from jsisnet.formats.map_folder import LINES

STREET = panoptic_map([[1, 1, 2]], segment(SKY), segment(CAR))
NOTHING = panoptic_map([[0, 0, 0]])


def add(folder, image_id, panoptic=STREET):
    with map_folder.opened(folder, "test") as maps:
        maps.add(panoptic, CATEGORIES, image_id=image_id, name=f"{image_id}.png")


def test_maps_stay_when_the_folder_is_opened_again(tmp_path):
    add(tmp_path / "maps", 7)
    add(tmp_path / "maps", "eight", NOTHING)

    with map_folder.opened(tmp_path / "maps", "test") as maps:
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


def test_half_a_line_is_as_if_it_never_was(tmp_path):
    add(tmp_path / "maps", 7)
    whole = (tmp_path / "maps" / LINES).read_bytes()
    add(tmp_path / "maps", 8)

    for length in range(len(whole)):
        (tmp_path / "maps" / LINES).write_bytes(whole[:length])
        add(tmp_path / "maps", 9)
        with map_folder.opened(tmp_path / "maps", "test") as maps:
            assert maps.done == {9}
            assert [annotation.image_id for annotation in maps] == [9]


def test_a_map_that_is_half_written_is_deleted(tmp_path):
    add(tmp_path / "maps", 7)
    leftover = tmp_path / "maps" / "pngs" / ".8.png.99.part"
    leftover.touch()

    add(tmp_path / "maps", 8, panoptic_map([[1]], segment(ROAD)))

    assert not leftover.exists()


def test_maps_of_two_purposes_are_not_mixed(tmp_path):
    add(tmp_path / "maps", 7)

    with (
        pytest.raises(ValueError, match="maps: holds maps of other photos, or of a model with"),
        map_folder.opened(tmp_path / "maps", "something else"),
    ):
        pass


@pytest.mark.parametrize("line", ["{", "[]", '{"other": 1}', '{"image_id": []}'])
def test_a_damaged_line_is_explained(tmp_path, line):
    add(tmp_path / "maps", 7)
    with (tmp_path / "maps" / LINES).open("a") as file:
        file.write(f"{line}\n")

    with (
        pytest.raises(ValueError, match="is damaged; expected no such folder"),
        map_folder.opened(tmp_path / "maps", "test"),
    ):
        pass


def test_a_removed_folder_is_gone(tmp_path):
    with map_folder.opened(tmp_path / "maps", "test") as maps:
        pass

    maps.remove()

    assert list(tmp_path.iterdir()) == []


def test_two_commands_do_not_write_to_one_folder(tmp_path):
    pytest.importorskip("fcntl", reason="the system has no such locks")

    with (
        map_folder.opened(tmp_path / "maps", "test"),
        pytest.raises(ValueError, match="maps: another command is writing to it"),
        map_folder.opened(tmp_path / "maps", "test"),
    ):
        pass
