"""Errors as sentences."""

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
