import os
import signal
import time

import pytest

from jsisnet.serve import Pool, PoolConfig
from jsisnet.serve.jobs import Answer, Refusal, Task
from jsisnet.serve.pool import _pause
from toy_work import BOMB, GREY, ToyWork

pytestmark = pytest.mark.slow


@pytest.fixture
def start(tmp_path):
    """Return a function that starts a pool of toys; the file ``model`` has their fingerprint."""
    (tmp_path / "model").write_text("first")
    pools = []

    def start(config=None, **options):
        pool = Pool(ToyWork(model=tmp_path / "model", **options), config or PoolConfig(workers=1))
        pools.append(pool)
        pool.start()
        return pool

    yield start
    for pool in pools:
        pool.close()


def task(content=GREY):
    return Task(content=content, model="toy")


def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def process(pool):
    (worker,) = pool._state.workers
    return worker.process


def test_workers_answer_tasks_and_end_with_the_pool(start):
    pool = start(PoolConfig(workers=2))
    until(lambda: pool.ready == 2)

    answers = [future.result(30) for future in [pool.submit(task()) for _ in range(6)]]

    assert all(isinstance(answer, Answer) for answer in answers)
    processes = [worker.process for worker in pool._state.workers]
    pool.close()
    assert not any(process.is_alive() for process in processes)
    assert pool.submit(task()).result(1).status == 503


def test_a_killed_worker_is_replaced_and_its_photo_tried_again(start):
    pool = start(seconds=0.3)
    futures = [pool.submit(task()) for _ in range(3)]
    until(lambda: pool.busy)
    os.kill(process(pool).pid, signal.SIGKILL)

    assert all(isinstance(future.result(30), Answer) for future in futures)
    assert pool.restarts == 1
    assert pool.ready == 1


def test_a_photo_that_kills_two_workers_is_refused_and_the_others_are_not(start, monkeypatch):
    monkeypatch.setenv("TOY_BOMB", "always")
    pool = start(batch=2)

    bad, *good = (pool.submit(task(content)) for content in (BOMB, GREY, GREY))

    assert bad.result(30).status == 503
    assert all(isinstance(each.result(30), Answer) for each in good)
    until(lambda: pool.restarts == 2)


def test_a_photo_that_takes_too_long_is_refused_and_its_worker_replaced(start):
    pool = start(PoolConfig(workers=1, seconds=0.2), seconds=30)
    stuck = process(pool)

    assert pool.submit(task()).result(30).status == 504
    until(lambda: pool.ready and process(pool) is not stuck)
    assert not stuck.is_alive()


def test_a_stopped_worker_is_replaced_too(start):
    pool = start(PoolConfig(workers=1, seconds=2.0))
    os.kill(process(pool).pid, signal.SIGSTOP)

    assert pool.submit(task(bytes(5_000_000))).result(30).status == 504
    assert pool.submit(task()).result(30).media_type == "application/json"


def test_workers_ignore_the_signals_that_stop_the_server(start):
    pool = start()
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(process(pool).pid, number)

    assert isinstance(pool.submit(task()).result(30), Answer)
    assert pool.restarts == 0


def test_another_model_in_the_folder_is_not_taken_over(start, caplog):
    pool = start()
    pool.work.model.write_text("second")
    os.kill(process(pool).pid, signal.SIGKILL)

    until(lambda: "has changed since the server started" in caplog.text)
    refused = pool.submit(task()).result(30)

    assert pool.failure is not None
    assert isinstance(refused, Refusal)
    assert refused.status == 503
    pool.work.model.write_text("first")
    until(lambda: pool.ready)
    assert isinstance(pool.submit(task()).result(30), Answer)


@pytest.mark.parametrize("workers", [0, 100_000])
def test_a_number_of_workers_without_sense_is_refused(workers):
    with pytest.raises(ValueError, match=f"{workers:,} workers; expected 1 to .* on this machine"):
        PoolConfig(workers=workers)


def test_the_pause_between_attempts_grows_up_to_a_limit():
    pauses = [_pause(failures) for failures in (0, 1, 2, 3, 10_000)]

    assert pauses == [0, 0.5, 1, 2, 30]


def test_a_model_that_can_not_be_loaded_is_an_error_of_the_start(start, tmp_path):
    (tmp_path / "model").write_text("")

    with pytest.raises(ValueError, match="model: damaged"):
        start()


def test_a_dropped_task_is_not_run(start):
    pool = start(seconds=0.6)
    first, dropped, last = (pool.submit(task()) for _ in range(3))
    until(lambda: pool.busy)

    assert dropped.cancel()
    assert pool.queued == 1
    assert isinstance(first.result(30), Answer)
    assert isinstance(last.result(30), Answer)
