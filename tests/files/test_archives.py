import stat
import tracemalloc
from unicodedata import normalize
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZipFile, ZipInfo

import pytest

from jsisnet.files import archives
from jsisnet.files.archives import (
    Member,
    describe_missing,
    file_exists,
    file_in,
    file_size,
    files_below,
    png_folder,
    stored_file,
)


@pytest.fixture
def folder(tmp_path):
    for name in ("b/2.png", "b/deep/1.png", "b/photo.jpg", "a.png", "b/.hidden.png"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "tree"


@pytest.fixture
def archive(folder):
    path = folder.parent / "tree.zip"
    with ZipFile(path, "w") as file:
        for each in sorted(folder.rglob("*.*")):
            file.write(each, each.relative_to(folder))
        file.writestr("__MACOSX/b/2.png", "")
    return path


@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_files_are_listed_by_their_paths_in_order(kind, request):
    root = request.getfixturevalue(kind)

    files = files_below(root, "b", ".png")

    assert {name: file.read_bytes() for name, file in files.items()} == {
        "2.png": b"b/2.png",
        "deep/1.png": b"b/deep/1.png",
    }
    assert list(files_below(root, "", ".png")) == ["a.png", "b/2.png", "b/deep/1.png"]
    assert file_in(root, "a.png").read_bytes() == b"a.png"
    assert str(file_in(root, "a.png")) == f"{root}/a.png"
    assert file_in(root, "c.png") is None
    assert files_below(root, "elsewhere", ".png") == {}


@pytest.mark.parametrize("name", ["../a.png", "/a.png", "b/../../a.png", "c:a.png"])
def test_a_zip_whose_names_lead_out_of_it_is_refused(name, tmp_path):
    path = tmp_path / "bad.zip"
    with ZipFile(path, "w") as file:
        file.writestr(name, "")

    with pytest.raises(
        ValueError, match=r"bad\.zip: contains .*expected paths that stay inside the zip"
    ):
        files_below(path, "", ".png")


def test_a_link_inside_a_zip_is_not_read(tmp_path):
    entry = ZipInfo("a.png")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with ZipFile(tmp_path / "links.zip", "w") as file:
        file.writestr(entry, "../../secret.png")

    with pytest.raises(OSError, match="a symbolic link, which is not followed inside a zip"):
        file_in(tmp_path / "links.zip", "a.png").read_bytes()


def test_names_in_a_zip_may_have_colons(tmp_path):
    path = tmp_path / "screenshots.zip"
    with ZipFile(path, "w") as file:
        file.writestr("2024/Screenshot 12:30:00.png", "")

    assert list(files_below(path, "", ".png")) == ["2024/Screenshot 12:30:00.png"]


def test_a_file_that_is_neither_folder_nor_zip_is_refused(tmp_path):
    (tmp_path / "text.zip").write_text("no zip")

    with pytest.raises(ValueError, match="neither a folder nor a readable zip"):
        files_below(tmp_path / "text.zip", "", ".png")
    with pytest.raises(ValueError, match="does not exist; expected a folder or a zip"):
        files_below(tmp_path / "missing", "", ".png")


def test_a_damaged_member_is_a_read_error(archive):
    content = bytearray(archive.read_bytes())
    at = content.index(b"b/2.png", content.index(b"b/2.png") + 1)
    content[at] = ord("x")
    damaged = archive.with_name("damaged.zip")
    damaged.write_bytes(content)

    with pytest.raises(OSError, match="damaged"):
        files_below(damaged, "b", ".png")["2.png"].read_bytes()


@pytest.mark.parametrize("packing", [ZIP_DEFLATED, ZIP_BZIP2, ZIP_LZMA])
def test_a_member_with_damaged_compression_is_a_read_error(packing, tmp_path):
    path = tmp_path / "packed.zip"
    with ZipFile(path, "w", packing) as file:
        file.writestr("a.png", bytes(range(256)) * 9)
    content = bytearray(path.read_bytes())
    content[45:65] = b"\xff" * 20
    path.write_bytes(content)

    with pytest.raises(OSError, match=r"damaged|Invalid data"):
        file_in(path, "a.png").read_bytes()


def test_a_zip_of_an_unknown_version_is_refused(archive):
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\x01\x02") + 6] = 99
    archive.write_bytes(content)

    with pytest.raises(ValueError, match=r"nor a readable zip .zip file version 9\.9"):
        files_below(archive, "", ".png")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_with_two_files_of_one_name_is_refused(tmp_path):
    with ZipFile(tmp_path / "maps.zip", "w") as archive:
        archive.writestr("a.png", "one")
        archive.writestr("a.png", "two")

    with pytest.raises(ValueError, match=r"maps\.zip: contains 'a\.png' twice"):
        files_below(tmp_path / "maps.zip", "", ".png")


def test_a_member_that_expands_too_far_is_not_read(archive, monkeypatch):
    monkeypatch.setattr(archives, "_MAX_BYTES", 3)

    with pytest.raises(OSError, match="larger than 3 bytes"):
        file_in(archive, "a.png").read_bytes()


def test_a_path_may_lead_into_a_zip(folder, archive):
    for root in (folder, archive):
        assert file_exists(root / "b/2.png")
        assert stored_file(root / "b/2.png").read_bytes() == b"b/2.png"
        assert not file_exists(root / "b/3.png")
        with pytest.raises(FileNotFoundError):
            stored_file(root / "b/3.png").read_bytes()
    assert str(stored_file(archive / "b/2.png")) == f"{archive}/b/2.png"


def test_a_zip_may_hold_a_folder_that_is_named_like_it(tmp_path):
    with ZipFile(tmp_path / "maps.zip", "w") as file:
        file.writestr("maps/a.png", "a")
        file.writestr("b.png", "b")

    assert stored_file(tmp_path / "maps.zip" / "a.png").read_bytes() == b"a"
    assert stored_file(tmp_path / "maps.zip" / "b.png").read_bytes() == b"b"


def test_a_path_into_a_file_that_is_no_zip_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no zip")

    with pytest.raises(ValueError, match=r"notes\.txt: neither a folder nor a readable zip"):
        stored_file(tmp_path / "notes.txt" / "a.png")


def test_pngs_are_in_the_folder_or_zip_that_is_named_like_their_file(tmp_path):
    annotations = tmp_path / "panoptic.json"
    with pytest.raises(ValueError, match=r"panoptic\.json: no such file; expected a JSON file"):
        png_folder(annotations, None)
    annotations.touch()
    with pytest.raises(ValueError, match=r"panoptic\.json: the folder of its PNGs, .* not exist"):
        png_folder(annotations, None)

    (tmp_path / "panoptic.zip").write_bytes(b"")
    assert png_folder(annotations, None) == tmp_path / "panoptic.zip"
    (tmp_path / "panoptic").mkdir()
    assert png_folder(annotations, None) == tmp_path / "panoptic"
    assert png_folder(annotations, tmp_path / "panoptic.zip") == tmp_path / "panoptic.zip"


def zip_of(path, *names):
    with ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, name)
    return path


@pytest.mark.parametrize(
    "names",
    [
        ["other/a.png", "other/b.png"],
        ["other/a.png", "__MACOSX/other/._a.png", "other/.DS_Store"],
        ["annotations/panoptic/a.png", "annotations/panoptic/b.png"],
        ["a.png", "__MACOSX/._a.png"],
        ["__MACOSX/z/._a.png", "z/", "z/a.png"],
    ],
)
def test_the_only_inner_folder_of_a_zip_is_looked_into(tmp_path, names):
    path = zip_of(tmp_path / "z.zip", *names)

    found = stored_file(path / "a.png")

    assert file_exists(path / "a.png")
    assert found.read_bytes().endswith(b"a.png")


def test_files_below_a_folder_are_found_in_the_inner_folder_of_a_zip(tmp_path):
    path = zip_of(tmp_path / "z.zip", "cityscapes/gtFine/val/ulm/a.png", "cityscapes/README")

    assert list(files_below(path, "gtFine/val", ".png")) == ["ulm/a.png"]
    assert str(file_in(path, "README")) == f"{path}/cityscapes/README"


@pytest.mark.parametrize("name", ["a/b.png", r"a\b.png"])
def test_a_zip_of_windows_may_have_backslashes(tmp_path, name):
    path = zip_of(tmp_path / "z.zip", r"a\b.png", r"a\c.png")

    assert stored_file(path / name).read_bytes() == rb"a\b.png"
    assert list(files_below(path, "a", ".png")) == ["b.png", "c.png"]


@pytest.mark.parametrize(("stored", "wanted"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_the_unicode_form_of_a_path_does_not_matter(tmp_path, stored, wanted):
    stored, wanted = (normalize(form, "\u00e4.png") for form in (stored, wanted))
    (tmp_path / stored).write_text("found")
    path = zip_of(tmp_path / "z.zip", stored)

    assert stored_file(tmp_path / wanted).read_bytes() == b"found"
    assert stored_file(path / wanted).read_bytes() == stored.encode()


def test_a_missing_file_of_a_zip_is_explained_by_what_the_zip_holds(tmp_path):
    path = zip_of(tmp_path / "z.zip", "maps/train/a.png", "maps/val/b.png")

    text = describe_missing(path / "b.png")

    assert text == "does not exist; the zip holds maps/train/a.png and 1 more"
    with pytest.raises(FileNotFoundError, match="the zip holds maps/train/a"):
        stored_file(path / "b.png").read_bytes()
    assert describe_missing(tmp_path / "c.png") == "does not exist"


def test_files_have_the_same_size_in_a_folder_and_a_zip(tmp_path):
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "a.png").write_bytes(b"12345")
    with ZipFile(tmp_path / "packed.zip", "w", ZIP_DEFLATED) as archive:
        archive.writestr("a.png", b"12345")

    assert file_size(tmp_path / "maps" / "a.png") == 5
    assert file_size(tmp_path / "packed.zip" / "a.png") == 5


@pytest.mark.parametrize("packing", [ZIP_DEFLATED, ZIP_BZIP2, ZIP_LZMA])
def test_a_member_that_swells_is_refused(packing, tmp_path, monkeypatch):
    with ZipFile(tmp_path / "a.zip", "w", packing) as file:
        file.writestr("zeros.png", bytes(3 * 2**20))
    member = Member(tmp_path / "a.zip", "zeros.png")
    assert member.read_bytes() == bytes(3 * 2**20)

    monkeypatch.setenv("JSISNET_PICTURE_MEMORY", "4MB")

    with pytest.raises(OSError, match=r"from 0 MB in the zip to 3 MB, but .* 2 MB, half of"):
        member.read_bytes()


def test_a_stored_member_is_as_large_as_the_zip(tmp_path, monkeypatch):
    with ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("zeros.png", bytes(3 * 2**20))
    monkeypatch.setenv("JSISNET_PICTURE_MEMORY", "4MB")

    assert len(Member(tmp_path / "a.zip", "zeros.png").read_bytes()) == 3 * 2**20


def test_a_member_with_a_wrong_size_is_expanded_no_further(tmp_path):
    with ZipFile(tmp_path / "a.zip", "w", ZIP_DEFLATED) as file:
        file.writestr("zeros.png", bytes(64 * 2**20))
    content = (tmp_path / "a.zip").read_bytes()
    size = (64 * 2**20).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(content.replace(size, (100).to_bytes(4, "little")))

    tracemalloc.start()
    try:
        with pytest.raises(OSError, match="damaged or uses an unsupported compression"):
            Member(tmp_path / "a.zip", "zeros.png").read_bytes()
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


def test_a_path_of_thousands_of_folders_takes_little_memory(tmp_path):
    with ZipFile(tmp_path / "deep.zip", "w") as archive:
        archive.writestr("a/" * 10_000 + "a.png", b"x")
    tracemalloc.start()

    assert file_in(tmp_path / "deep.zip", "b.png") is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000
