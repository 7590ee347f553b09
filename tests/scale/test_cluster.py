"""Connections to clusters: addresses, room for actors, and what is told if there is none."""

import sys

import pytest

from jsisnet.cli.app import run
from jsisnet.scale.cluster import ClusterConfig, _actors, connected


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
