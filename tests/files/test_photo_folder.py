from time import thread_time
from unicodedata import normalize

import pytest

from jsisnet.files.photo_folder import Oddity, PhotoFolder, relative_name


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "data" / "photos"
    for name in ("a.png", "one/b.png", "one/same.png", "two/same.png", "my photo.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def found(folder, name):
    located = PhotoFolder(folder).find(name)
    return located.path.relative_to(folder).as_posix(), located.oddity


@pytest.mark.parametrize("name", ["a.png", "one/b.png", "./a.png", "my photo.png"])
def test_a_path_below_the_folder_is_taken_as_it_is(photos, name):
    located = PhotoFolder(photos).find(name)

    assert located.path == photos / name
    assert located.oddity is None


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (r"one\b.png", "one/b.png"),
        ("one/../a.png", "a.png"),
        (r"..\..\media\upload\4\a.png", "a.png"),
        ("../../a.png", "a.png"),
        ("/data/upload/3/b.png", "one/b.png"),
        (r"C:\Users\me\b.png", "one/b.png"),
        (r"\\server\share\a.png", "a.png"),
        ("https://example.org/x/a.png", "a.png"),
        ("https://example.org/x/a.png?token=1/2", "a.png"),
        ("file:///home/me/my%20photo.png", "my photo.png"),
        ("/data/local-files/?d=export%5Ca.png", "a.png"),
        ("images/train/a.png", "a.png"),
        ("old/one/same.png", "one/same.png"),
        (r"D:\old\two\same.png", "two/same.png"),
        ("one/a.png", "a.png"),
    ],
)
def test_another_path_means_the_only_file_of_its_name(photos, name, path):
    assert found(photos, name) == (path, Oddity.PATH)


@pytest.mark.parametrize("name", ["same.png", "/x/same.png", r"..\same.png"])
def test_a_name_that_several_files_have_is_refused_with_both(photos, name):
    with pytest.raises(ValueError, match=r"there are .*one/same\.png and .*two/same\.png"):
        PhotoFolder(photos).find(name)


def test_a_path_that_begins_with_the_folder_decides_between_files_of_one_name(photos):
    (photos / "one" / "a.png").touch()

    assert found(photos, "photos/a.png")[0] == "a.png"
    assert found(photos, str(photos / "one" / "a.png"))[0] == "one/a.png"


@pytest.mark.parametrize(("listed", "stored"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_name_is_found_in_the_other_unicode_form(photos, listed, stored):
    (photos / normalize(stored, "straße/café.png")).parent.mkdir()
    (photos / normalize(stored, "straße/café.png")).touch()

    path, oddity = found(photos, normalize(listed, "straße/café.png"))

    assert path == normalize(stored, "straße/café.png")
    assert oddity is Oddity.UNICODE
    assert found(photos, normalize(listed, "old/café.png"))[1] is Oddity.PATH


@pytest.mark.parametrize("name", ["../outside.png", "outside.png", "x/link.png", "far/outside.png"])
def test_nothing_outside_is_found(photos, name):
    (photos.parent / "outside.png").touch()
    (photos / "link.png").symlink_to(photos.parent / "outside.png")
    (photos / "linked").symlink_to(photos.parent)

    path = PhotoFolder(photos).find(name).path

    assert path.is_relative_to(photos)
    assert not path.exists()


@pytest.mark.parametrize(
    "name", ["link.png", "linked/gone.png", "../link.png", r"D:\link.png", r"linked\outside.png"]
)
def test_a_link_that_leads_out_is_not_taken_for_another_name(photos, name):
    (photos.parent / "outside.png").touch()
    (photos / "link.png").symlink_to(photos.parent / "outside.png")
    (photos / "linked").symlink_to(photos.parent)

    with pytest.raises(ValueError, match="--follow-links follows it"):
        PhotoFolder(photos).find(name)


@pytest.mark.parametrize("city", ["ulm/", ""])
def test_photos_are_found_as_cityscapes_scripts_lists_them(tmp_path, city):
    photo = tmp_path / f"{city}ulm_000001_000019_leftImg8bit.png"
    photo.parent.mkdir(exist_ok=True)
    photo.touch()
    folder = PhotoFolder(tmp_path)

    located = folder.find("ulm_000001_000019_gtFine_leftImg8bit.png")

    assert (located.path, located.oddity) == (photo, Oddity.CITYSCAPES)
    assert folder.warnings(1) == ()


def test_oddities_are_counted_with_the_first_example(photos):
    folder = PhotoFolder(photos)
    for name in ("a.png", r"x\a.png", "y/b.png"):
        folder.find(name)

    (warning,) = folder.warnings(3)

    assert warning.startswith("2 of 3 photos are listed under other paths")
    assert str(photos / "a.png") in warning


@pytest.mark.parametrize("name", ["", "/", "..", "a/..", "a\0.png"])
def test_the_name_of_no_file_is_refused(photos, name):
    for folder in (photos, None):
        with pytest.raises(ValueError, match="expected the name of a file"):
            PhotoFolder(folder).find(name)


def test_a_missing_photo_has_a_path_below_the_folder(photos):
    assert found(photos, "b/c/none.png") == (relative_name("b/c/none.png"), None)


def test_without_a_folder_names_are_only_cleaned():
    folder = PhotoFolder(None)

    assert str(folder.find(r"street\1.jpg").path) == "street/1.jpg"
    assert str(folder.find("/data/local-files/?d=street/1.jpg").path) == "1.jpg"
    assert str(folder.find("a%20b.jpg").path) == "a%20b.jpg"


@pytest.mark.parametrize("name", ["data:image/png;base64," + "A" * 10**6, "x" * 256, "\ud800.png"])
def test_what_no_file_can_be_called_gives_a_short_message(photos, name):
    for root in (photos, None):
        with pytest.raises(ValueError, match=r"'file_name' is .*; expected") as caught:
            PhotoFolder(root).find(name)

        assert len(str(caught.value)) < 200  # a line or two


def test_thousands_of_files_of_one_name_are_told_apart_in_time(tmp_path):
    for number in range(1000):
        (tmp_path / f"{number}" / "left").mkdir(parents=True)
        (tmp_path / f"{number}" / "left" / "a.png").touch()
    folder = PhotoFolder(tmp_path)
    begin = thread_time()

    for number in range(1000):
        path = folder.find(f"/data/{number}/left/a.png").path
        assert path == tmp_path / f"{number}" / "left" / "a.png"
    assert thread_time() - begin < 10
    with pytest.raises(ValueError, match=r"there are .*/0/left/a.png and .*/1/left/a.png"):
        folder.find("/data/left/a.png")
