"""Errors as sentences and exit codes."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

FAILED, MISUSED, STOPPED, TERMINATED = 1, 2, 128 + signal.SIGINT, 128 + signal.SIGTERM
"""Exit codes: something went wrong, unknown options, interrupted, and terminated."""

DEBUG = "--debug"
"""Option of every command: let an error show where it comes from, as JSISNET_DEBUG=1 does."""


def sentence(error: Exception) -> str:
    """Tell in one sentence what went wrong."""
    text = " ".join(str(error).split())
    match error:
        case OSError(strerror=str(reason)):
            # Of a file that could not be renamed, its new name is the one that the user knows.
            name = error.filename2 or error.filename
            return f"{name}: {reason}" if name else reason
        case ValueError() | OSError():
            return text
        case MemoryError():
            return "not enough memory"
        case RuntimeError() if "memory" in text:
            return f"not enough memory ({text})"
    return f"{type(error).__name__}: {text} (a defect of jsisnet; {DEBUG} shows where)"


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
