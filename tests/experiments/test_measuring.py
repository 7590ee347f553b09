import os
import signal
import time

import pytest

from jsisnet.experiments.measuring import Memory, in_own_process, memory_of, time_in_turn


def test_functions_take_turns_after_a_warm_up_round():
    calls = []

    seconds = time_in_turn(2, a=lambda: calls.append("a"), b=lambda: calls.append("b"))

    assert calls == ["a", "b"] * 3
    assert [len(each) for each in seconds.values()] == [2, 2]


def test_a_timing_includes_the_wait_for_the_device():
    seconds = time_in_turn(1, lambda: time.sleep(0.02), quick=lambda: None)

    assert seconds["quick"][0] >= 0.02


def need(megabytes: int) -> Memory:
    return memory_of(lambda: bytearray(megabytes * 2**20))


def test_memory_is_measured_in_a_new_process():
    less, more = (in_own_process(need, megabytes) for megabytes in (50, 150))

    assert 45 < less.increase < 75
    assert 95 < more.increase - less.increase < 105
    assert less.whole > less.increase


def refuse(what: str) -> None:
    raise ValueError(f"no {what}")


def test_an_exception_of_the_process_is_raised():
    with pytest.raises(ValueError, match=r"^no bread$"):
        in_own_process(refuse, "bread")


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_is_reported():
    with pytest.raises(ValueError, match="its process ended with code -9"):
        in_own_process(kill_itself)


def interrupt_itself() -> str:
    os.kill(os.getpid(), signal.SIGINT)
    return "still here"


def test_the_process_ignores_interrupts():
    before = signal.getsignal(signal.SIGINT)

    assert in_own_process(interrupt_itself) == "still here"
    assert signal.getsignal(signal.SIGINT) is before
