import pytest

from jsisnet.formats.files import remove_leftovers, replacing


def test_the_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "new" / "file.txt"

    with replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()

    assert path.read_text() == "whole"
    assert [file.name for file in path.parent.iterdir()] == ["file.txt"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def write_half():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_leftovers_of_a_killed_writer_are_removed_and_nothing_else(tmp_path):
    kept = [tmp_path / name for name in (".hidden", "file.part", "file.txt")]
    for path in (*kept, tmp_path / ".file.txt.1234.part"):
        path.touch()

    remove_leftovers(tmp_path)

    assert sorted(tmp_path.iterdir()) == kept
