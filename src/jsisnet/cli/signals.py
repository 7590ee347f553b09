"""Signals that end a command."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from jsisnet.cli.errors import TERMINATED

_received: list[int] = []
"""Signals since `obeyed` began."""


@contextmanager
def obeyed() -> Iterator[None]:
    """Let SIGINT raise `KeyboardInterrupt` and SIGTERM `SystemExit`, as long as the block lasts.

    Exceptions, so that what is half-written is removed. Who started the process with SIGINT
    ignored, as a shell does in the background, has it ignored.
    """
    numbers = [signal.SIGTERM]
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        numbers.append(signal.SIGINT)
    before = {number: signal.signal(number, _stop) for number in numbers}
    try:
        yield
    finally:
        _received.clear()
        for number, handler in before.items():
            signal.signal(number, handler)


def insist() -> None:
    """Raise what a received signal raises, if Python has swallowed it; some callbacks do that."""
    if _received:
        _raise(_received[-1])


def _stop(number: int, _: FrameType | None) -> NoReturn:
    _received.append(number)
    _raise(number)


def _raise(number: int) -> NoReturn:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(TERMINATED)
