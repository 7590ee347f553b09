import errno
import fcntl
import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from jsisnet.files import atomic
from jsisnet.files.atomic import LOCK, lock_folder, replacing


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
        with replacing(tmp_path / "file.txt") as path, path.open("x"):
            pass

    with pytest.raises(FileExistsError) as caught:
        write()

    assert caught.value.filename == str(tmp_path / "file.txt")


def test_an_error_of_a_rename_names_the_requested_file(tmp_path):
    def copy():
        with replacing(tmp_path / "file.txt") as path:
            path.unlink()
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


def test_a_folder_that_another_process_deletes_before_it_is_locked_is_made_again(
    tmp_path, monkeypatch
):
    folder, opened = tmp_path / "out", atomic._open

    def after_deletion(path, flags=0):
        monkeypatch.setattr(atomic, "_open", opened)
        folder.rmdir()
        return opened(path, flags)

    monkeypatch.setattr(atomic, "_open", after_deletion)

    with lock_folder(folder):
        assert [path.name for path in folder.iterdir()] == [LOCK]


def test_a_lock_of_another_user_is_named(tmp_path, monkeypatch):
    (tmp_path / LOCK).touch()

    def fails(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", fails)

    with pytest.raises(PermissionError) as caught, lock_folder(tmp_path):
        pass
    assert caught.value.filename == str(tmp_path / LOCK)


def test_a_file_system_without_locks_is_written_to_unprotected(tmp_path, monkeypatch):
    def fails(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fails)

    with lock_folder(tmp_path / "new"), replacing(tmp_path / "new" / "file") as temporary:
        temporary.write_text("whole")
        atomic.remove_leftovers(tmp_path / "new")

    assert (tmp_path / "new" / "file").read_text() == "whole"


def test_leftovers_of_killed_writers_are_removed_and_those_of_others_stay(tmp_path):
    script = """
import pathlib, sys, time
from jsisnet.files.atomic import replacing
with replacing(pathlib.Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print(temporary.name, flush=True)
    time.sleep(60)
"""
    command = [sys.executable, "-c", script, str(tmp_path / "other.txt")]
    others = [tmp_path / ".hidden.part", tmp_path / ".jsisnet-mine.part"]
    for path in others:
        path.touch()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        name = other.stdout.readline().decode().strip()
        atomic.remove_leftovers(tmp_path)
        assert (tmp_path / name).read_text() == "half"

        other.kill()
        other.wait()

    with replacing(tmp_path / "file.txt") as temporary:
        assert sorted(tmp_path.iterdir()) == sorted([*others, temporary])


def test_temporary_names_are_random_and_follow_no_link(tmp_path, monkeypatch):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    names = iter(["00000000", "11111111"])
    monkeypatch.setattr(secrets, "token_hex", lambda _: next(names))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".jsisnet-00000000.part").symlink_to(victim)

    with replacing(tmp_path / "out" / "file.txt") as temporary:
        temporary.write_text("whole")

    assert temporary.name == ".jsisnet-11111111.part"
    assert victim.read_text() == "mine"


def test_a_file_gets_the_usual_permissions(tmp_path):
    with replacing(tmp_path / "file") as temporary:
        temporary.write_text("whole")
    (tmp_path / "usual").touch()

    assert (tmp_path / "file").stat().st_mode == (tmp_path / "usual").stat().st_mode


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
