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
            return f"{error.filename}: {reason}" if error.filename else reason
        case ValueError():
            return text
        case MemoryError():
            return "not enough memory"
        case RuntimeError() if "memory" in text:
            return f"not enough memory ({text})"
    return f"{type(error).__name__}: {text} (a defect of jsisnet; {DEBUG} shows where)"
