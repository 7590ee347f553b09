"""Commands by import path, so that only the one that runs is imported."""

from collections.abc import Iterable
from typing import NamedTuple

from cyclopts import App


class Command(NamedTuple):
    """A command of the command line."""

    name: str
    """Name as typed; the function has the same name, with underscores."""
    home: str
    """Module of the function, within the package that `register` is given."""
    usage: str
    """Arguments and required options, for the usage line."""
    help: str
    """First sentence of the function's docstring, for the list of commands."""


def register(app: App, prefix: str, package: str, commands: Iterable[Command]) -> None:
    """Add commands to an app; their modules are imported when they are called.

    Args:
        app: App to extend.
        prefix: What is typed before the names, such as ``jsisnet data``.
        package: Package of the commands' modules.
        commands: Commands, in any order.
    """
    for command in commands:
        app.command(
            f"{package}.{command.home}:{command.name.replace('-', '_')}",
            name=command.name,
            usage=f"Usage: {prefix} {command.name} {command.usage} [OPTIONS]",
            help=command.help,
        )
