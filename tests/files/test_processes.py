import os
import signal
import subprocess
import sys
import time

import pytest

from jsisnet.files.processes import available_cores, in_order

COUNT = 23


@pytest.mark.skipif(sys.platform != "linux", reason="cores are assigned to processes on Linux")
def test_only_the_cores_of_this_process_count(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 3, 5})

    assert available_cores() == 3


def squares(first, step):
    for number in range(first, COUNT, step):
        yield number**2


def failing(first, step):
    for number in range(first, COUNT, step):
        if number == 7:
            raise ValueError("seven")
        yield number


def dying(first, step):
    if first == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    yield from squares(first, step)


def large(first, step):
    for _ in range(first, COUNT, step):
        yield bytes(10**6)


def nothing(first, step):
    return iter(range(first, 0, step))


def process_ids(first, step):
    for _ in range(first, 6, step):
        yield os.getpid()


def blocked_signals(first, step):
    for _ in range(first, 2, step):
        yield signal.pthread_sigmask(signal.SIG_BLOCK, ()) & {signal.SIGINT, signal.SIGTERM}


@pytest.mark.parametrize("processes", [1, 2, 3, 40])
def test_results_come_in_order(processes):
    assert list(in_order(squares, COUNT, processes)) == [number**2 for number in range(COUNT)]


def test_each_process_computes_its_share():
    ids = list(in_order(process_ids, 6, 3))

    assert len(set(ids)) == 3
    assert os.getpid() not in ids
    assert ids[:3] == ids[3:]


def test_with_one_process_everything_runs_in_the_parent():
    assert set(in_order(process_ids, 6, 1)) == {os.getpid()}


def test_without_results_no_process_is_started():
    assert list(in_order(nothing, 0, 4)) == []


def test_results_may_be_larger_than_a_pipe():
    assert [len(each) for each in in_order(large, COUNT, 2)] == [10**6] * COUNT


@pytest.mark.parametrize("processes", [1, 3])
def test_an_error_is_raised_in_order(processes):
    results = in_order(failing, COUNT, processes)

    assert [next(results) for _ in range(7)] == list(range(7))
    with pytest.raises(ValueError, match="seven"):
        next(results)


def test_a_process_that_is_killed_is_noticed():
    with pytest.raises(ValueError, match="a worker process ended unexpectedly"):
        list(in_order(dying, COUNT, 2))


def test_processes_end_when_the_results_are_no_longer_read():
    results = in_order(process_ids, 6, 2)
    workers = [next(results), next(results)]

    results.close()

    for worker in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux")
@pytest.mark.parametrize(
    ("name", "results"), [("SIGTERM", "a worker process ended unexpectedly"), ("SIGINT", "[0, 1]")]
)
def test_a_signal_reaches_a_process_that_is_just_starting(name, results):
    code = (
        "import os, signal\n"
        "from jsisnet.cli.errors import signals_raise\n"
        "from jsisnet.files.processes import in_order\n"
        "os.register_at_fork(\n"
        f"    after_in_child=lambda: os.kill(os.getpid(), signal.{name})\n"
        ")\n"
        "def share(first, step):\n"
        "    yield first\n"
        "with signals_raise():\n"
        "    try:\n"
        "        print(list(in_order(share, 2, 2)))\n"
        "    except ValueError as error:\n"
        "        print(error)\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.startswith(results)
    assert done.stderr == ""


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux")
def test_signals_are_no_longer_blocked_when_the_processes_have_started():
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())

    results = in_order(blocked_signals, 2, 2)

    assert next(results) == set()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
    results.close()


def test_processes_end_when_the_first_one_is_killed():
    code = (
        "import os, time\n"
        "from jsisnet.files.processes import in_order\n"
        "def endless(first, step):\n"
        "    while True:\n"
        "        yield os.getpid()\n"
        "for pid in in_order(endless, 10**9, 2):\n"
        "    print(pid, flush=True)\n"
        "    time.sleep(0.2)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as process:
        workers = [int(process.stdout.readline()) for _ in range(2)]
        process.kill()

    deadline = time.monotonic() + 10
    while any(map(_lives, workers)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _lives(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123 - it may be gone at any time
            return file.read().split()[2] != "Z"
    except OSError:
        return False
