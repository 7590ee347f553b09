"""Errors as sentences and exit codes."""

import signal

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
