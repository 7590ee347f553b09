import os

import pytest

from jsisnet.files.archives import files_below
from jsisnet.files.links import Links, RefusedLinkError, follow_links


@pytest.fixture
def folder(tmp_path):
    """Return a folder with one file of its own, beside a folder with another one."""
    for name in ("data/own", "beside/deep"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a.png").touch()
    return tmp_path / "data"


def test_links_are_followed_inside_the_folder_alone(folder):
    (folder / "inner.png").symlink_to("own/a.png")
    (folder / "outer.png").symlink_to("../beside/deep/a.png")
    (folder / "far").symlink_to("../beside")
    links = Links(folder)

    links.refuse(folder / "own/a.png")
    links.refuse(folder / "inner.png")
    with pytest.raises(RefusedLinkError) as refused:
        links.refuse(folder / "outer.png")
    assert str(refused.value) == (
        f"{folder}/outer.png is a symbolic link to ../beside/deep/a.png, which is outside the "
        "given folders; --follow-links follows it"
    )
    with pytest.raises(RefusedLinkError, match=f"^{folder}/far/deep/a.png: {folder}/far is a sym"):
        links.refuse(folder / "far/deep/a.png")


def test_a_name_with_dots_does_not_lead_out(folder):
    assert Links(folder).refusal(folder / "own/../../beside/deep/a.png")


def test_no_other_spelling_of_a_name_leads_out(folder):
    (folder / "far").symlink_to("../beside")

    assert Links(folder).refusal(folder / r"far\deep\a.png")
    assert not Links(folder).refusal(folder / r"own\a.png")


def test_the_folder_itself_may_be_a_link(folder, tmp_path):
    (tmp_path / "linked").symlink_to(folder)

    assert Links(tmp_path / "linked").refusal(tmp_path / "linked/own/a.png") is None


def test_links_are_followed_where_they_are_allowed(folder):
    (folder / "far").symlink_to("../beside")
    path = folder / "far/deep/a.png"

    with follow_links(into=[folder.parent / "beside/deep"]):
        assert Links(folder).refusal(path) is None
        with follow_links(into=[]):
            assert Links(folder).refusal(path) is None
    with follow_links(into=[folder.parent / "bes"]):
        assert Links(folder).refusal(path)
    with follow_links(), follow_links(into=[]):
        assert Links(folder).refusal(path) is None
    assert Links(folder).refusal(path)


def test_linked_folders_are_listed_once_and_only_where_links_may_lead(folder):
    (folder / "again").symlink_to("own")
    (folder / "endless").symlink_to("..")
    (folder / "far").symlink_to("../beside")

    with pytest.raises(RefusedLinkError, match=r"/(far|endless) is a symbolic link to \.\."):
        files_below(folder, "", ".png")
    with follow_links():
        assert list(files_below(folder, "", ".png")) == ["far/deep/a.png", "own/a.png"]


def test_what_is_no_regular_file_is_not_left_out_without_a_word(folder):
    (folder / "gone.png").symlink_to("nowhere")
    with pytest.raises(ValueError, match=r"gone\.png: a link to a file that does not exist"):
        files_below(folder, "", ".png")

    (folder / "gone.png").unlink()
    os.mkfifo(folder / "gone.png")
    with pytest.raises(ValueError, match=r"gone\.png: a pipe; expected a regular file"):
        files_below(folder, "", ".png")
