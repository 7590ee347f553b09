import os
import signal
import time

import pytest

from jsisnet.experiments.measuring import Memory, in_own_process, memory_of, time_in_turn


def test_contestants_take_turns_and_the_first_round_does_not_count():
    calls = []

    seconds = time_in_turn(2, a=lambda: calls.append("a"), b=lambda: calls.append("b"))

    assert calls == ["a", "b"] * 3
    assert [len(each) for each in seconds.values()] == [2, 2]


def test_a_run_ends_when_its_device_is_done():
    seconds = time_in_turn(1, lambda: time.sleep(0.02), quick=lambda: None)

    assert seconds["quick"][0] >= 0.02


def need(megabytes: int) -> Memory:
    return memory_of(lambda: bytearray(megabytes * 2**20))


def test_memory_is_that_of_a_process_of_its_own():
    less, more = (in_own_process(need, megabytes) for megabytes in (50, 150))

    assert 45 < less.increase < 75
    assert 95 < more.increase - less.increase < 105
    assert less.whole > less.increase


def refuse(what: str) -> None:
    raise ValueError(f"no {what}")


def test_what_another_process_raises_is_raised_here():
    with pytest.raises(ValueError, match=r"^no bread$"):
        in_own_process(refuse, "bread")


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_is_killed_is_told():
    with pytest.raises(ValueError, match="its process ended with code -9"):
        in_own_process(kill_itself)


def interrupt_itself() -> str:
    os.kill(os.getpid(), signal.SIGINT)
    return "still here"


def test_another_process_leaves_interrupts_to_the_one_that_waits():
    before = signal.getsignal(signal.SIGINT)

    assert in_own_process(interrupt_itself) == "still here"
    assert signal.getsignal(signal.SIGINT) is before
