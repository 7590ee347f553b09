import pytest
from PIL import Image

from jsisnet.inference.photo_files import find_photos


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A few pictures and other files; the current folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("b.png", "a.jpg", "more/a.JPEG", "more/deep/c.webp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden.jpg").write_bytes(b"")
    return tmp_path


def names(*arguments):
    return [photo.title for photo in find_photos(arguments).photos]


@pytest.mark.usefixtures("folder")
def test_files_come_in_the_order_given():
    assert names("b.png", "a.jpg") == ["b.png", "a.jpg"]


@pytest.mark.usefixtures("folder")
def test_a_folder_means_the_images_directly_in_it():
    assert names(".") == ["a.jpg", "b.png"]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.png", ["b.png"]),
        ("**/*.[jJ]*", ["a.jpg", "more/a.JPEG"]),
        ("mo?e", ["more/a.JPEG"]),
        ("more/**/*.webp", ["more/deep/c.webp"]),
    ],
)
def test_patterns_are_those_of_the_shell(pattern, expected):
    assert names(pattern) == expected


def test_an_absolute_pattern_matches_too(folder):
    assert names(f"{folder}/*.png") == [f"{folder}/b.png"]


def test_a_file_may_have_the_name_of_a_pattern(folder):
    Image.new("RGB", (2, 2)).save(folder / "[ab].png")

    assert names("[ab].png") == ["[ab].png"]


@pytest.mark.usefixtures("folder")
def test_a_photo_given_twice_is_used_once():
    assert names("a.jpg", ".", "more/../a.jpg") == ["a.jpg", "b.png"]


@pytest.mark.usefixtures("folder")
def test_a_named_file_is_tried_whatever_its_name():
    assert names("notes.txt") == ["notes.txt"]


@pytest.mark.usefixtures("folder")
def test_arguments_without_photo_are_listed():
    found = find_photos(["a.jpg", "missing.jpg", "*.tiff"])

    assert found.problems == ("missing.jpg: no image found", "*.tiff: no image found")
    assert len(found.photos) == 1


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give at least one image, folder, zip or pattern"),
        (["missing.jpg"], "no image found: missing.jpg"),
        (["*.tiff", "nowhere"], r"no image found: \*.tiff, nowhere"),
    ],
)
def test_arguments_without_any_photo_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        find_photos(arguments)


def test_an_empty_folder_is_refused(folder):
    (folder / "empty").mkdir()

    with pytest.raises(ValueError, match="no image found: empty"):
        find_photos(["empty"])


def test_photos_with_the_same_stem_get_different_names(folder):
    for name in ("A_2.png", "more/a.png"):
        Image.new("RGB", (2, 2)).save(folder / name)

    found = find_photos(["a.jpg", "more", "A_2.png"])

    assert [photo.name for photo in found.photos] == ["a", "a_3", "a_4", "A_2"]


@pytest.mark.usefixtures("folder")
def test_arguments_that_can_not_be_names_get_one_short_line():
    with pytest.raises(ValueError, match=r"^aaa[a.]+: File name too long$") as caught:
        find_photos(["a" * 5000])

    assert len(str(caught.value)) < 300
    assert find_photos(["a.jpg", "x\n*"]).problems == (r"'x\n*': no image found",)


def test_a_url_is_named_as_one_and_the_other_photos_are_found(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "photo.png")

    found = find_photos(["https://example.org/photo.jpg", str(tmp_path)])

    assert [photo.name for photo in found.photos] == ["photo"]
    (problem,) = found.problems
    assert problem.startswith("https://example.org/photo.jpg: a URL; download the file")
