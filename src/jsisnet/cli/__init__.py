"""The command line."""

from jsisnet.cli.app import main

__all__ = ["main"]
