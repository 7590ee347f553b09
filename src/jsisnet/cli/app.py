"""The commands' names, and what becomes of their errors."""

import logging
import os
import sys
import threading
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import TextIO

from cyclopts import App, CycloptsError

from jsisnet.cli import signals
from jsisnet.cli.console import say
from jsisnet.cli.errors import DEBUG, FAILED, MISUSED, STOPPED, sentence
from jsisnet.cli.overrides import split

app = App(
    name="jsisnet",
    help="Panoptic segmentation with one network: a class and an instance for every pixel.",
    help_epilogue=f"With {DEBUG} an error shows where it comes from.",
    help_format="plaintext",
    version=lambda: version("jsisnet"),
)
for name, home, usage in (
    ("predict", "predict", "IMAGE... --out DIR"),
    ("demo", "predict", "[PHOTO...]"),
    ("evaluate", "measure", "--images DIR --annotations FILE"),
    ("score", "score", "TRUTH PREDICTION"),
    ("compare", "compare", "A B"),
    ("submit", "submit", "--image-info FILE"),
    ("merge", "merge", "--image-info FILE --instances FILE --semantic DIR"),
    ("train", "train", "CONFIG"),
    ("show-batch", "show_batch", "CONFIG"),
    ("plot", "plot", "RUN..."),
    ("show", "show", "IMAGE PNG JSON --out FILE"),
    ("describe", "describe", "CONFIG|MODEL"),
    ("imagenet", "imagenet", "--out FILE"),
):
    # By its path, so that only the command that is called is imported.
    command = f"jsisnet.cli.{home}:{name.replace('-', '_')}"
    app.command(command, name=name, usage=f"Usage: jsisnet {name} {usage} [OPTIONS]")
app.command("jsisnet.cli.reproduce:app", name="reproduce")
app.command("jsisnet.cli.data:data", name="data")


def main() -> int:
    """Run the command of this process and give its exit code."""
    sys.stdout, sys.stderr = (stream or _nowhere() for stream in (sys.stdout, sys.stderr))
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    logging.basicConfig(format="jsisnet: %(message)s")
    if not _debugging(sys.argv):
        # Lightning chooses the level of its own logger, whatever it was before.
        logging.disable(logging.INFO)
        warnings.simplefilter("ignore")
        sys.unraisablehook = lambda _: None
        sys.excepthook = _tell_of_main_thread
        threading.excepthook = lambda _: None
    with signals.obeyed():
        return run(sys.argv[1:])


def run(tokens: Sequence[str]) -> int:
    """Run a command and give its exit code; errors become one sentence each.

    Args:
        tokens: What follows `jsisnet` on the command line.
    """
    try:
        code = _launch([token for token in tokens if token != DEBUG])
        sys.stdout.flush()
        return code
    except CycloptsError as error:
        say(f"{error}")
        return MISUSED
    except KeyboardInterrupt:
        say("stopped")
        return STOPPED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        if _debugging(tokens):
            raise
        say(sentence(error))
        return FAILED


def _launch(tokens: Sequence[str]) -> int:
    tokens, overrides = split(tokens)
    command, bound, ignored = app.parse_args(tokens, exit_on_error=False, print_error=False)
    if "overrides" in ignored:
        bound.arguments["overrides"] = overrides
    return command(*bound.args, **bound.kwargs) or 0


def _nowhere() -> TextIO:
    """Give a stream to a process that was started without one."""
    return Path(os.devnull).open("w", encoding="utf-8")


def _tell_of_main_thread(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Show an error that no command has caught; threads of libraries that end late are silent."""
    if threading.current_thread() is threading.main_thread():
        sys.__excepthook__(kind, error, traceback)


def _debugging(tokens: Sequence[str]) -> bool:
    return DEBUG in tokens or bool(os.environ.get("JSISNET_DEBUG"))
