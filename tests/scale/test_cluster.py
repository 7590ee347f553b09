"""Connections to clusters: addresses, room for actors, and what is told if there is none."""

import socket
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from threading import Thread

import pytest

from jsisnet.cli.app import run
from jsisnet.scale import connection
from jsisnet.scale.cluster import _actors, _Begun, connected
from jsisnet.scale.connection import ClusterConfig


@pytest.mark.parametrize(
    ("config", "actors"),
    [
        (ClusterConfig(), 6),
        (ClusterConfig(workers=4), 4),
        (ClusterConfig(workers=9), 6),
        (ClusterConfig(threads=3), 2),
        (ClusterConfig(gpu=True), 2),
    ],
)
def test_actors_fill_the_cluster_or_are_as_many_as_wanted(config, actors):
    assert _actors({"CPU": 6.0, "GPU": 2.0}, config) == actors


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (ClusterConfig(gpu=True), "has no GPU"),
        (ClusterConfig(threads=8), "has no 8 free cores for a worker"),
    ],
)
def test_a_cluster_without_room_is_refused(config, message):
    with pytest.raises(ValueError, match=message):
        _actors({"CPU": 6.0}, config)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:1", "no Ray cluster answers at 127.0.0.1:1: .*refused"),
        ("ray://127.0.0.1:1", "no Ray cluster answers at ray://127.0.0.1:1: .*refused"),
        ("somewhere", "expected local, auto, HOST:PORT"),
    ],
)
def test_an_address_without_a_cluster_is_told(address, message):
    pytest.importorskip("ray", reason="needs the extra scale")
    with pytest.raises(ValueError, match=message), connected(ClusterConfig(address=address)):
        pass


@contextmanager
def listening(answer):
    """Listen, and send an answer to whoever connects."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    connection.sendall(answer)
                    while connection.recv(100):
                        pass

        thread = Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
    thread.join()


@pytest.mark.parametrize(
    ("answer", "message"), [(b"HTTP/1.1 400", "listens there is no Ray"), (b"", "timed out")]
)
def test_what_is_no_ray_is_told_in_time(monkeypatch, answer, message):
    pytest.importorskip("ray", reason="needs the extra scale")
    monkeypatch.setattr(connection, "_TIMEOUT", 0.2)
    with listening(answer) as address:
        monkeypatch.setenv("RAY_ADDRESS", address)  # what auto stands for

        with (
            pytest.raises(ValueError, match=f"no Ray cluster answers at {address}: .*{message}"),
            connected(ClusterConfig(address="auto")),
        ):
            pass


def test_a_server_of_grpc_passes():
    grpc = pytest.importorskip("grpc", reason="needs the extra scale")
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    connection._check_address(f"127.0.0.1:{port}")

    server.stop(None).wait()


def test_another_version_is_told_in_one_sentence():
    error = RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.50.0\n")

    assert connection._unreachable("host:6379", error) == (
        "the Ray cluster at host:6379 can't be used: Version mismatch: The cluster was started "
        "with: Ray: 2.50.0"
    )


def test_the_folder_of_logs_is_private_and_short(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with ExitStack() as stack:
        folder = connection._logs_folder(stack)

        assert len(str(folder)) < 30
        assert folder.parent.stat().st_mode & 0o777 == 0o700
    assert not folder.parent.exists()


def test_workers_that_never_load_the_work_are_not_restarted_without_end():
    begun = _Begun(2)

    assert [begun.start(), begun.start(), begun.start()] == [True, True, False]
    begun.loaded()
    assert begun.start()


def test_a_missing_library_gets_an_install_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)

    with (
        pytest.raises(ImportError, match=r"needs Ray, .* pip install 'jsisnet\[scale\]'"),
        connected(ClusterConfig()),
    ):
        pass


def test_what_needs_all_results_in_one_process_is_refused(capsys):
    code = run(
        ["evaluate", "--images", "x", "--annotations", "y", "--out", "o", "--cluster", "local"]
    )

    assert code == 1
    assert "--out needs all results in one process" in capsys.readouterr().err
