import pytest

from jsisnet.cli.app import run
from jsisnet.files import follow_links
from jsisnet.formats.open import open_dataset
from jsisnet.inference.photo_files import find_photos


@pytest.fixture
def linked(tiny):
    """Return the data set with one photo and the map of another that are links to elsewhere."""
    for path in (tiny.images / "street0.jpg", tiny.pngs / "map1.png"):
        elsewhere = tiny.images.parent.parent / path.name
        path.rename(elsewhere)
        path.symlink_to(elsewhere)
    return tiny


def test_a_data_set_of_links_is_read_only_if_they_are_to_be_followed(linked, tmp_path, capsys):
    kind = ["--from", "coco", "--annotations", linked.annotations, "--images", linked.images]
    command = [
        "data",
        "convert",
        *map(str, kind),
        "--to",
        "two-channel",
        "--processes",
        "1",
        "--out",
        str(tmp_path / "out"),
    ]

    assert run(command) == 1
    error = capsys.readouterr().err
    assert "street0.jpg is a symbolic link to " in error
    assert "--follow-links follows it" in error
    with pytest.raises(ValueError, match=r"map1\.png is a symbolic link to "):
        open_dataset("coco", annotations=linked.annotations)
    with follow_links():
        assert len(open_dataset("coco", annotations=linked.annotations).records) == 6
    assert run([*command, "--follow-links"]) == 0


def test_scores_need_the_option_for_linked_maps(linked, capsys):
    command = ["score", str(linked.annotations), str(linked.annotations), "--processes", "1"]

    assert run(command) == 1
    assert "map1.png is a symbolic link" in capsys.readouterr().err
    assert run([*command, "--follow-links"]) == 0


def test_a_check_counts_links(linked, capsys):
    command = ["data", "check", "--annotations", linked.annotations, "--images", linked.images]
    command = [*map(str, command), "--processes", "1"]

    assert run(command) == 1
    found = capsys.readouterr().out
    assert "error link-out: symbolic link leads out of the given folders (2 cases)" in found
    assert run([*command, "--follow-links"]) == 0
    assert "note link: photo or map is a symbolic link" in capsys.readouterr().out


def test_a_link_into_another_given_folder_is_followed(linked, tmp_path):
    folders = [str(linked.images), str(tmp_path)]

    with follow_links(into=map(type(tmp_path), folders)):
        assert not find_photos(folders[:1]).problems


def test_a_named_photo_is_followed_but_not_one_in_a_named_folder(linked):
    photo = linked.images / "street0.jpg"

    found = find_photos([str(linked.images)])
    assert len(found.photos) == 5
    assert [str(photo) in problem for problem in found.problems] == [True]
    assert [each.source for each in find_photos([str(photo)]).photos] == [photo]
