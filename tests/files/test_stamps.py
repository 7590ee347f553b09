import os
from zipfile import ZipFile

import pytest

from jsisnet.files.stamps import are_unchanged, stamp, stamps


def rewrite(path):
    path.write_text("changed a bit")


def touch(path):
    os.utime(path, ns=(0, 0))


def remove(path):
    path.unlink()


@pytest.mark.parametrize("change", [rewrite, touch, remove])
def test_a_changed_file_has_another_stamp(tmp_path, change):
    path = tmp_path / "map.png"
    path.write_text("as it was")
    before = stamps([path, None])
    assert are_unchanged(before)

    change(path)

    assert not are_unchanged(before)


def test_a_file_that_was_missing_counts_as_changed(tmp_path):
    before = stamp(tmp_path / "map.png")

    assert before == [str(tmp_path / "map.png")]
    assert not are_unchanged([before])


def test_a_link_to_another_file_counts_as_changed(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    (tmp_path / "link").symlink_to("one")
    before = stamps([tmp_path / "link"])
    assert are_unchanged(before)

    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("two")

    assert not are_unchanged(before)


def test_a_file_in_a_zip_has_a_stamp_of_its_own(tmp_path):
    with ZipFile(tmp_path / "maps.zip", "w") as archive:
        archive.writestr("a.png", "one")
        archive.writestr("b.png", "two")
    before = stamps([tmp_path / "maps.zip" / "a.png"])
    with ZipFile(tmp_path / "maps.zip", "a") as archive:
        archive.writestr("c.png", "three")

    assert are_unchanged(before)
