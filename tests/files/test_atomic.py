import errno
import json
import os
from pathlib import Path

import pytest

from jsisnet.files import atomic
from jsisnet.files.atomic import refuse_second_writer, remove_leftovers, replacing, reserved


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


def test_a_device_is_written_to_and_stays(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)

    with replacing(tmp_path / "pipe") as path:
        path.write_text("whole")

    assert os.read(reader, 100) == b"whole"
    assert (tmp_path / "pipe").is_fifo()
    os.close(reader)


def test_what_the_shell_has_opened_is_not_replaced():
    with replacing(Path("/dev/stdout")) as path:
        assert path == Path("/dev/stdout")


def test_an_error_names_the_file_that_is_wanted(tmp_path):
    def write():
        with replacing(tmp_path / "file.txt") as path, path.open("x"), path.open("x"):
            pass

    with pytest.raises(FileExistsError) as caught:
        write()

    assert caught.value.filename == str(tmp_path / "file.txt")


def test_an_error_of_copying_names_the_file_that_is_wanted_too(tmp_path):
    def copy():
        with replacing(tmp_path / "file.txt") as path:
            path.mkdir()
            try:
                (tmp_path / "old").rename(path / "deep" / "er")
            except OSError as error:
                error.filename2 = str(path)
                raise
            finally:
                path.rmdir()

    with pytest.raises(FileNotFoundError) as caught:
        copy()

    assert caught.value.filename2 == str(tmp_path / "file.txt")


def test_a_file_has_one_writer_at_a_time(tmp_path):
    with (tmp_path / "file").open("wb") as mine:
        refuse_second_writer(mine, tmp_path)

        with (
            (tmp_path / "file").open("wb") as other,
            pytest.raises(ValueError, match="another command is writing to it"),
        ):
            refuse_second_writer(other, tmp_path)

    with (tmp_path / "file").open("wb") as next_one:
        refuse_second_writer(next_one, tmp_path)


def test_a_file_system_without_locks_is_written_to_all_the_same(tmp_path, monkeypatch):
    def fails(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(atomic.fcntl, "flock", fails)

    with reserved(tmp_path / "new"):
        assert (tmp_path / "new").is_dir()


def test_a_folder_is_kept_for_one(tmp_path):
    with (
        reserved(tmp_path),
        pytest.raises(ValueError, match="another command is writing to it"),
        reserved(tmp_path),
    ):
        pass

    with reserved(tmp_path):
        pass


def test_leftovers_of_a_killed_writer_are_removed_and_nothing_else(tmp_path):
    kept = [tmp_path / name for name in (".hidden", "file.part", "file.txt")]
    for path in (*kept, tmp_path / ".file.txt.1234.part"):
        path.touch()

    remove_leftovers(tmp_path)

    assert sorted(tmp_path.iterdir()) == kept


def test_fields_come_before_lists(tmp_path):
    entries = ({"id": number} for number in range(2))

    atomic.write_json(tmp_path / "new/x.json", {"info": "é"}, {"images": entries, "none": []})

    content = json.loads((tmp_path / "new/x.json").read_text())
    assert list(content.items()) == [
        ("info", "é"),
        ("images", [{"id": 0}, {"id": 1}]),
        ("none", []),
    ]


def test_lists_need_no_fields(tmp_path):
    atomic.write_json(tmp_path / "x.json", {}, {"images": []})

    assert json.loads((tmp_path / "x.json").read_text()) == {"images": []}


def test_a_list_that_breaks_off_leaves_no_file(tmp_path):
    def broken():
        yield {"id": 1}
        raise ValueError("changed")

    with pytest.raises(ValueError, match="changed"):
        atomic.write_json(tmp_path / "x.json", {}, {"images": broken()})

    assert list(tmp_path.iterdir()) == []
