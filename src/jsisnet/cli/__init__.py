"""The command line, `jsisnet`."""

from jsisnet.cli.app import main

__all__ = ["main"]
