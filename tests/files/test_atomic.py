import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from jsisnet.files import atomic
from jsisnet.files.atomic import lock_folder, remove_leftovers, replacing


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


def test_standard_output_is_not_replaced():
    with replacing(Path("/dev/stdout")) as path:
        assert path == Path("/dev/stdout")


def test_an_error_names_the_requested_file(tmp_path):
    def write():
        with replacing(tmp_path / "file.txt") as path, path.open("x"), path.open("x"):
            pass

    with pytest.raises(FileExistsError) as caught:
        write()

    assert caught.value.filename == str(tmp_path / "file.txt")


def test_an_error_of_a_rename_names_the_requested_file(tmp_path):
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


def test_a_folder_has_one_writer_at_a_time(tmp_path):
    folder = tmp_path / "new"

    with (
        lock_folder(folder),
        pytest.raises(ValueError, match="new: another command is writing to it"),
        lock_folder(folder),
    ):
        pass

    with lock_folder(folder):
        assert folder.is_dir()
    assert list(folder.iterdir()) == []


def test_locks_with_different_names_are_independent(tmp_path):
    with lock_folder(tmp_path, ".a.lock"), lock_folder(tmp_path, ".b.lock"):
        assert len(list(tmp_path.iterdir())) == 2

    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_leaves_no_lock(tmp_path):
    script = """
import pathlib, sys, time
from jsisnet.files.atomic import lock_folder
with lock_folder(pathlib.Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(ValueError, match="another command"), lock_folder(tmp_path):
            pass

        other.kill()
        other.wait()

    with lock_folder(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_locks_is_written_to_unprotected(tmp_path, monkeypatch):
    def fails(*_, **__):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(filelock.FileLock, "acquire", fails)

    with lock_folder(tmp_path / "new"):
        assert (tmp_path / "new").is_dir()


def test_only_leftovers_of_killed_writers_are_removed(tmp_path):
    kept = [tmp_path / name for name in (".hidden", "file.part", "file.txt")]
    for path in (*kept, tmp_path / ".file.txt.1234.part"):
        path.touch()

    remove_leftovers(tmp_path)

    assert sorted(tmp_path.iterdir()) == kept


def test_json_fields_come_before_lists(tmp_path):
    entries = ({"id": number} for number in range(2))

    atomic.write_json(tmp_path / "new/x.json", {"info": "é"}, {"images": entries, "none": []})

    content = json.loads((tmp_path / "new/x.json").read_text())
    assert list(content.items()) == [
        ("info", "é"),
        ("images", [{"id": 0}, {"id": 1}]),
        ("none", []),
    ]


def test_json_may_have_lists_only(tmp_path):
    atomic.write_json(tmp_path / "x.json", {}, {"images": []})

    assert json.loads((tmp_path / "x.json").read_text()) == {"images": []}


def test_an_error_in_a_list_leaves_no_json_file(tmp_path):
    def broken():
        yield {"id": 1}
        raise ValueError("changed")

    with pytest.raises(ValueError, match="changed"):
        atomic.write_json(tmp_path / "x.json", {}, {"images": broken()})

    assert list(tmp_path.iterdir()) == []
