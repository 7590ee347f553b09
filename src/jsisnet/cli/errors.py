"""Errors as one-line messages and exit codes; signals as exceptions."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from jsisnet.lazy import install_hint

FAILED, MISUSED, STOPPED, TERMINATED = 1, 2, 128 + signal.SIGINT, 128 + signal.SIGTERM
"""Exit codes: an error, wrong usage, interrupted (SIGINT) and terminated (SIGTERM)."""

DEBUG = "--debug"
"""Option of every command that shows the traceback of an error, as JSISNET_DEBUG=1 does."""


def describe_error(error: Exception, command: str = "jsisnet") -> str:
    """Return the one-line message for an error.

    Args:
        error: Any exception; one that no bad input explains is reported as a bug.
        command: What the user ran, such as ``jsisnet train``; named if a dependency is missing.
    """
    text = " ".join(str(error).split())
    match error:
        case ImportError():
            hint = install_hint(f"`{command}`", _missing_module(error))
            if hint is not None:
                return hint
        case OSError(strerror=str(reason)):
            # After a failed rename, the user knows the new name, not the temporary one.
            name = error.filename2 or error.filename
            return f"{name}: {reason}" if name else reason
        case ValueError() | OSError():
            return text
        case MemoryError():
            return "not enough memory"
        case RuntimeError() if "memory" in text:
            return f"not enough memory ({text})"
    return f"{type(error).__name__}: {text} (this is a bug in jsisnet; {DEBUG} shows the traceback)"


def _missing_module(error: BaseException | None) -> str:
    while error is not None:
        if isinstance(error, ModuleNotFoundError):
            return error.name or ""
        error = error.__cause__
    return ""


_received: list[int] = []
"""Signals received since `signals_raise` was entered."""


@contextmanager
def signals_raise() -> Iterator[None]:
    """Make SIGINT raise `KeyboardInterrupt` and SIGTERM `SystemExit` inside the block.

    Exceptions let half-written files be removed. SIGINT stays ignored if the process was started
    with it ignored, as shells do for background jobs.
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


def raise_received() -> None:
    """Raise the exception of a received signal again; some libraries' callbacks swallow it."""
    if _received:
        _raise(_received[-1])


def _stop(number: int, _: FrameType | None) -> NoReturn:
    _received.append(number)
    _raise(number)


def _raise(number: int) -> NoReturn:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(TERMINATED)
