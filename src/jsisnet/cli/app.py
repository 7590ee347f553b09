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

from jsisnet.cli import errors
from jsisnet.cli.commands import Command, add
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
COMMANDS = (
    Command(
        "predict",
        "predict",
        "IMAGE... --out DIR",
        "Segment photos: a class and an instance for every pixel.",
    ),
    Command(
        "demo",
        "predict",
        "[PHOTO...]",
        "Segment three free photos, or your own, as `jsisnet predict` does.",
    ),
    Command(
        "evaluate",
        "evaluate",
        "--images DIR --annotations FILE",
        "Measure a model on photos with panoptic annotations: PQ, mean IoU, AP, recall.",
    ),
    Command(
        "score",
        "score",
        "TRUTH PREDICTION",
        "Measure predictions against a truth, both COCO panoptic files: PQ, SQ and RQ.",
    ),
    Command(
        "compare",
        "compare",
        "A B",
        "Compare two results: what is better in B than in A, and how sure that is.",
    ),
    Command(
        "submit",
        "submit",
        "--image-info FILE",
        "Pack predictions for COCO's panoptic challenge, with or without labels at hand.",
    ),
    Command(
        "merge",
        "merge",
        "--image-info FILE --instances FILE --semantic DIR",
        "Merge instances and semantic predictions of other networks into panoptic files.",
    ),
    Command(
        "train",
        "train",
        "CONFIG",
        "Train a network on photos with COCO panoptic annotations.",
    ),
    Command(
        "show-batch",
        "show_batch",
        "CONFIG",
        "Draw what the network sees at a step of a training, with the targets.",
    ),
    Command(
        "plot",
        "plot",
        "RUN...",
        "Draw losses, quality and pace of trainings over their steps.",
    ),
    Command(
        "show",
        "show",
        "IMAGE PNG JSON --out FILE",
        "Draw a panoptic PNG on its photo, in colours, with outlines and class names.",
    ),
    Command(
        "describe",
        "describe",
        "CONFIG|MODEL",
        "List a network's stages: shapes, parameters and multiply-adds.",
    ),
    Command(
        "imagenet",
        "imagenet",
        "--out FILE",
        "Convert packaged ImageNet weights into a file.",
    ),
)
add(app, "jsisnet", "jsisnet.cli", COMMANDS)
app.command(
    "jsisnet.cli.reproduce:app",
    name="reproduce",
    help="Run an experiment of the paper on any data; what it found stands beside it.",
)
app.command(
    "jsisnet.cli.data:data",
    name="data",
    help="Data sets of many formats: open, change and describe them.",
)


def main() -> int:
    """Run the command of this process and give its exit code."""
    sys.stdout, sys.stderr = (stream or _nowhere() for stream in (sys.stdout, sys.stderr))
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    logging.basicConfig(format="%(message)s", handlers=[_MessageHandler()])
    if not _debugging(sys.argv):
        # Lightning chooses the level of its own logger, whatever it was before.
        logging.disable(logging.INFO)
        warnings.simplefilter("ignore")
        sys.unraisablehook = lambda _: None
        sys.excepthook = _tell_of_main_thread
        threading.excepthook = lambda _: None
    with errors.obeyed():
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
    called = app.parse_commands([token for token in tokens if token not in app.help_flags])[1][-1]
    if called.default_command is not None:
        called.help = None  # the sentence of the list; its docstring says more
    command, bound, ignored = app.parse_args(tokens, exit_on_error=False, print_error=False)
    if "overrides" in ignored:
        bound.arguments["overrides"] = overrides
    return command(*bound.args, **bound.kwargs) or 0


class _MessageHandler(logging.Handler):
    """Handler that prints log records as messages, above a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        say(self.format(record))


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
