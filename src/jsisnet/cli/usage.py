"""Messages for command lines that cannot be parsed."""

from collections.abc import Sequence
from typing import Any

from cyclopts import (
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    RepeatArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
    ValidationError,
)

from jsisnet.checks import nearest
from jsisnet.settings import invalid_value


def usage_error(error: CycloptsError, tokens: Sequence[str]) -> str:
    """Return the message for a command line that cannot be parsed.

    Args:
        error: What the parser raised.
        tokens: Arguments of the command line, without the program's name.
    """
    match error:
        case UnknownCommandError():
            return _unknown_command(error)
        case MissingArgumentError(argument=argument) if argument is not None:
            problem = _missing(error, argument, tokens)
        case UnusedCliTokensError():
            problem = _unexpected(error, tokens)
        case UnknownOptionError():
            name = (error.token.keyword or error.token.value).partition("=")[0]
            names = [name for each in error.argument_collection for name in each.names]
            problem = f"no option named {name}.{nearest(name, names)}"
        case RepeatArgumentError(token=token):
            problem = f"{token.keyword} is given twice"
        case CoercionError() | ValidationError():
            problem = invalid_value(error) or f"{error}"
        case _:
            problem = f"{error}"
    command = " ".join(("jsisnet", *(error.command_chain or ())))
    see = f"see {command} --help"
    if problem.endswith("?"):
        return f"{problem} {see.capitalize()}"
    return f"{problem.removesuffix('.')}: {see}"


def _missing(error: MissingArgumentError, argument: Any, tokens: Sequence[str]) -> str:  # noqa: ANN401
    """Say which argument is missing, lacks its value, or is misspelt."""
    given = {token.partition("=")[0] for token in tokens} & set(argument.names)
    metavar = argument.parameter.metavar
    value = metavar if isinstance(metavar, str) else "a value"
    if given:
        return f"{given.pop()} needs {value}"
    misspelt = [token for token in error.unused_tokens or () if token.startswith("--")]
    name = argument.name
    for option in misspelt:
        if found := nearest(option, argument.names):
            return f"{name} is required, and there is no option {option}.{found}"
    return f"{name} {metavar} is required" if isinstance(metavar, str) else f"{name} is required"


def _unexpected(error: UnusedCliTokensError, tokens: Sequence[str]) -> str:
    """Name the arguments that the command does not take."""
    unused = error.unused_tokens or []
    names = ", ".join(repr(token) for token in unused)
    # Where the same word stands twice, only the parser knows which one it could not use.
    found = bool(unused) and tokens.count(unused[0]) == 1
    first = tokens.index(unused[0]) if found else 0
    before = tokens[first - 1] if first else ""
    if before.startswith("--") and "=" not in before:
        return f"{before} takes no value, but {unused[0]!r} follows it"
    return f"unexpected argument{'s' if len(unused) > 1 else ''} {names}"


def _unknown_command(error: UnknownCommandError) -> str:
    """Return the message for a misspelt command.

    The error's own message would import every command, and fail where one lacks its libraries.
    """
    (name, *_), app = error.unused_tokens or [""], error.app or ()
    names = [command for command in app if not command.startswith("-")]
    return f'No command named "{name}".{nearest(name, names)} Commands: {", ".join(names)}.'
