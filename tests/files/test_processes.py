import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial

import pytest

from jsisnet.files.processes import available_cores, in_order

COUNT = 23


@pytest.mark.skipif(sys.platform != "linux", reason="cores are assigned to processes on Linux")
def test_only_the_cores_of_this_process_count(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 3, 5})

    assert available_cores() == 3


def squares(numbers):
    for number in numbers:
        yield number**2


def failing(numbers):
    for number in numbers:
        if number == 7:
            raise ValueError("seven")
        yield number


def failing_slowly(numbers):
    for number in numbers:
        time.sleep(0.2 * number)
        raise ValueError(f"{number}")
        yield number


def dying(numbers):
    for number in numbers:
        if number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        yield number


def large(numbers):
    for _ in numbers:
        yield bytes(10**6)


def process_ids(numbers):
    for _ in numbers:
        yield os.getpid()


def waiting_for_the_last(last, numbers):
    for number in numbers:
        if number == 11:
            last.touch()
        while number == 0 and not last.exists():
            time.sleep(0.01)
        yield os.getpid()


def blocked_signals(numbers):
    for _ in numbers:
        yield signal.pthread_sigmask(signal.SIG_BLOCK, ()) & {signal.SIGINT, signal.SIGTERM}


def waiting_for_number_0(folder, numbers):
    for number in numbers:
        (folder / f"{number}").touch()
        while number == 0 and not (folder / "go").exists():
            time.sleep(0.01)
        yield number


@pytest.mark.parametrize("processes", [1, 2, 3, 40])
def test_results_come_in_order(processes):
    assert list(in_order(squares, COUNT, processes)) == [number**2 for number in range(COUNT)]


def test_processes_compute_all_results():
    ids = list(in_order(process_ids, 300, 3))

    assert 2 <= len(set(ids)) <= 3
    assert os.getpid() not in ids


def test_a_fast_process_computes_more(tmp_path):
    slow, *others = in_order(partial(waiting_for_the_last, tmp_path / "last"), 12, 2)

    assert others.count(slow) == 1


def test_processes_that_are_far_ahead_wait(tmp_path):
    results = in_order(partial(waiting_for_number_0, tmp_path), 1000, 2)
    deadline = threading.Timer(1, (tmp_path / "go").touch)
    deadline.start()

    next(results)

    assert len(list(tmp_path.iterdir())) < 40
    results.close()


def test_with_one_process_everything_runs_in_the_parent():
    assert set(in_order(process_ids, 6, 1)) == {os.getpid()}


def test_without_results_no_process_is_started():
    assert list(in_order(squares, 0, 4)) == []


def test_results_may_be_larger_than_a_pipe():
    assert [len(each) for each in in_order(large, COUNT, 2)] == [10**6] * COUNT


@pytest.mark.parametrize("processes", [1, 3])
def test_an_error_is_raised_in_order(processes):
    results = in_order(failing, COUNT, processes)

    assert [next(results) for _ in range(7)] == list(range(7))
    with pytest.raises(ValueError, match="seven"):
        next(results)


def test_an_error_after_that_which_ended_the_work_is_not_printed(capfd):
    with pytest.raises(ValueError, match="0"):
        list(in_order(failing_slowly, 2, 2))

    assert capfd.readouterr().err == ""


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
        "def share(numbers):\n"
        "    yield from numbers\n"
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
        "def endless(numbers):\n"
        "    for _ in numbers:\n"
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


def test_a_process_exits_at_once_when_its_parent_is_killed():
    program = (
        "import multiprocessing, time\n"
        "from jsisnet.files.processes import exit_with_parent\n"
        "def prepare():\n"
        "    exit_with_parent(0)\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
        "worker = multiprocessing.get_context('fork').Process(target=prepare)\n"
        "worker.start()\n"
        "worker.join()\n"
    )

    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout.readline() == b"ready\n"
        parent.kill()
        # The worker holds the pipe open as long as it lives.
        rest, _ = parent.communicate(timeout=30)

    assert rest == b""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc keeps freed memory")
def test_large_blocks_are_reused():
    program = """if True:
        import resource
        from jsisnet.files.processes import reuse_large_freed_memory

        def faults():
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            b"x" * 2**25
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

        counts = [faults(), faults()]
        reuse_large_freed_memory()
        print(*counts, faults(), faults())
    """

    counts = subprocess.check_output([sys.executable, "-c", program], text=True).split()

    cleared, still_cleared, _, reused = map(int, counts)
    assert min(cleared, still_cleared) > 100
    assert reused < 100
