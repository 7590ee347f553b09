"""How commands are listed and found."""

from collections.abc import Iterable
from typing import NamedTuple

from cyclopts import App


class Command(NamedTuple):
    """A command, which is imported when it is called."""

    name: str
    home: str
    """Module with a function that is named like the command."""
    usage: str
    """What follows the name, but for the options."""
    help: str
    """What the list says: the first sentence of the function's docstring."""


def add(app: App, prefix: str, package: str, commands: Iterable[Command]) -> None:
    """Give an app commands by their paths, so that only the one that is called is imported.

    Args:
        app: Gets the commands.
        prefix: What is typed before their names.
        package: Where their modules are.
        commands: In any order.
    """
    for command in commands:
        app.command(
            f"{package}.{command.home}:{command.name.replace('-', '_')}",
            name=command.name,
            usage=f"Usage: {prefix} {command.name} {command.usage} [OPTIONS]",
            help=command.help,
        )
