"""The `jsisnet` command: its commands, and how their errors are reported."""

import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import TracebackType
from typing import TextIO

from cyclopts import App, CycloptsError

from jsisnet.cli import errors
from jsisnet.cli.commands import Command, register
from jsisnet.cli.console import json_to_output, say
from jsisnet.cli.errors import DEBUG, FAILED, MISUSED, STOPPED, describe_error
from jsisnet.cli.overrides import split_settings
from jsisnet.cli.usage import usage_error
from jsisnet.files.links import FOLLOW, follow_links
from jsisnet.files.memory import picture_memory
from jsisnet.settings import name_option


def _version() -> str:
    from importlib.metadata import version

    return version("jsisnet")


app = App(
    name="jsisnet",
    help="Panoptic segmentation: a class and an instance for every pixel.",
    help_epilogue=(
        f"{FOLLOW} follows symbolic links that lead out of the given folders.\n"
        f"{DEBUG} shows the traceback of an error."
    ),
    help_format="plaintext",
    version=_version,
)
COMMANDS = (
    Command(
        "predict",
        "predict",
        "IMAGE...",
        "Segment images and clips: a class and an instance for every pixel.",
    ),
    Command(
        "demo",
        "predict",
        "[PHOTO...]",
        "Segment three sample photos, or your own.",
    ),
    Command(
        "evaluate",
        "evaluate",
        "[--format FORMAT]",
        "Evaluate a model on an annotated data set: PQ, mean IoU, AP and recall.",
    ),
    Command(
        "tune",
        "tune",
        "MODEL --images DIR --annotations FILE",
        "Choose the settings of a model's merge on annotated photos, for the best PQ.",
    ),
    Command(
        "pseudo-label",
        "pseudo_label",
        "MODEL --images DIR --out DIR",
        "Fill what a data set does not label with a model's confident predictions.",
    ),
    Command(
        "models",
        "models",
        "[FOLDER...]",
        "List the built-in models and those in folders, with their classes and scores.",
    ),
    Command(
        "push",
        "hub",
        "FOLDER USER/MODEL",
        "Upload a model to a hub, with a card of its classes and scores.",
    ),
    Command(
        "pull",
        "hub",
        "USER/MODEL --out DIR",
        "Download a model from a hub into a folder.",
    ),
    Command(
        "serve",
        "serve",
        "[--model NAME|DIR]...",
        "Serve models over HTTP: REST, and a page to drop photos on.",
    ),
    Command(
        "benchmark",
        "benchmark",
        "[MODEL]",
        "Time the engines that can run a model here, compare their maps, and recommend one.",
    ),
    Command(
        "score",
        "score",
        "TRUTH PREDICTION",
        "Score COCO panoptic predictions against the ground truth: PQ, SQ and RQ.",
    ),
    Command(
        "compare",
        "compare",
        "A B",
        "Compare two results: differences between A and B, with confidence intervals.",
    ),
    Command(
        "submit",
        "submit",
        "--image-info FILE",
        "Pack predictions for the COCO panoptic challenge, or check an archive.",
    ),
    Command(
        "merge",
        "merge",
        "--image-info FILE --instances FILE --semantic DIR",
        "Merge instance and semantic predictions of other networks into panoptic maps.",
    ),
    Command(
        "train",
        "train",
        "CONFIG",
        "Train a network.",
    ),
    Command(
        "show-batch",
        "show_batch",
        "CONFIG",
        "Draw the batch of a training step: augmented images and their targets.",
    ),
    Command(
        "plot",
        "plot",
        "RUN...",
        "Plot losses, quality and speed of training runs.",
    ),
    Command(
        "show",
        "show",
        "IMAGE PNG JSON --out FILE",
        "Draw a panoptic map on its image, with outlines and class names.",
    ),
    Command(
        "describe",
        "describe",
        "CONFIG|MODEL",
        "List the stages of a network: shapes, parameters and multiply-adds.",
    ),
    Command(
        "export",
        "export",
        "MODEL",
        "Write a network as an ONNX file, which predicts without PyTorch.",
    ),
    Command(
        "imagenet",
        "imagenet",
        "--out FILE",
        "Write ImageNet weights of an installed package to a file.",
    ),
    Command(
        "info",
        "info",
        "[--json FILE|-]",
        "Print versions, devices and extras, for reports of bugs.",
    ),
    Command(
        "completion",
        "completion",
        "bash|zsh|fish",
        "Print a script that completes commands and options in a shell.",
    ),
)
JSON_TO_OUTPUT = "--json=-"
"""Option that prints JSON in place of writing a file."""

_GROUPS = ("data", "reproduce")
"""Commands with commands of their own."""

register(app, "jsisnet", "jsisnet.cli", COMMANDS)
app.command(
    "jsisnet.cli.reproduce:app",
    name="reproduce",
    help="Reproduce a table or figure of the paper, on any data.",
)
app.command(
    "jsisnet.cli.data:data",
    name="data",
    help="Check, convert, split and describe data sets of many formats.",
)


def main() -> int:
    """Run the command line of this process and return its exit code."""
    sys.stdout, sys.stderr = (stream or _null_stream() for stream in (sys.stdout, sys.stderr))
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    logging.basicConfig(format="%(message)s", handlers=[_MessageHandler()])
    if not _debugging(sys.argv):
        # Lightning resets the level of its own logger, so the levels are no use here.
        logging.disable(logging.INFO)
        warnings.simplefilter("ignore")
        sys.unraisablehook = lambda _: None
        sys.excepthook = _report_main_thread
        threading.excepthook = lambda _: None
    try:
        with errors.signals_raise():
            return run(sys.argv[1:])
    except KeyboardInterrupt:  # before or after the command
        return STOPPED


def run(tokens: Sequence[str]) -> int:
    """Run a command and return its exit code; an error becomes a one-line message.

    Args:
        tokens: Arguments of the command line, without the program's name.
    """
    try:
        picture_memory()  # a wrong setting is no fault of a picture
        with follow_links(None if FOLLOW in tokens else ()):
            code = _launch([token for token in tokens if token not in (DEBUG, FOLLOW)])
        sys.stdout.flush()
        return code
    except CycloptsError as error:
        say(usage_error(error, tokens))
        return MISUSED
    except KeyboardInterrupt:
        say("interrupted")
        return STOPPED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        if _debugging(tokens):
            raise
        say(describe_error(error, _command_of(tokens)))
        return FAILED


def _launch(tokens: Sequence[str]) -> int:
    tokens, overrides = split_settings(_with_arguments_last(tokens))
    names, apps, _ = app.parse_commands([token for token in tokens if token not in app.help_flags])
    for arguments in (tokens, overrides):
        _refuse_empty(arguments, names)
    called = apps[-1]
    if called.default_command is not None:
        called.help = None  # let the docstring, which says more, replace the one-line summary
    try:
        command, bound, ignored = app.parse_args(tokens, exit_on_error=False, print_error=False)
    except ValueError as error:  # of the settings of a command
        raise ValueError(name_option(f"{error}", tokens) or f"{error}") from error
    if "overrides" in ignored:
        bound.arguments["overrides"] = overrides
    output = json_to_output() if JSON_TO_OUTPUT in tokens else nullcontext()
    with output, follow_links(into=_folders(bound.arguments.values())):
        return command(*bound.args, **bound.kwargs) or 0


def _refuse_empty(tokens: Sequence[str], chain: Sequence[str]) -> None:
    """Raise for an empty argument, which as a path would be the current folder."""
    before, options = "", True
    for token in tokens:
        name, equals, value = token.partition("=")
        empty = None
        if not token:
            empty = f"the argument after {before} is empty" if before else "an argument is empty"
        elif options and name.startswith("--") and equals and not value:
            empty = f"{name} is empty"
        if empty is not None:
            reason = f"{empty}; is a variable of the shell not set?"
            raise CycloptsError(msg=reason, command_chain=tuple(chain))
        options = options and token != "--"
        before = token if options and token.startswith("-") and not equals and token != "-" else ""


def _folders(values: Iterable[object]) -> Iterator[Path]:
    """Yield the folders among the values of arguments and groups of options."""
    for value in values:
        match value:
            case str() | Path():
                if os.path.isdir(value):  # noqa: PTH112 - pathlib fails if a name is too long
                    yield Path(value)
            case tuple():
                yield from _folders(value)
            case _ if is_dataclass(value):
                yield from _folders(getattr(value, each.name) for each in fields(value))


def _with_arguments_last(tokens: Sequence[str]) -> list[str]:
    """Put ``-`` after ``--json=`` or ``--``, as it would be taken for an option otherwise."""
    end = tokens.index("--") if "--" in tokens else len(tokens)
    options, arguments = list(tokens[:end]), tokens[end + 1 :]
    while "--json" in options[:-1] and options[options.index("--json") + 1] == "-":
        place = options.index("--json")
        options[place : place + 2] = [JSON_TO_OUTPUT]
    dashes = [token for token in options if token == "-"]
    if not dashes:
        return [*options, *tokens[end:]]
    return [*(token for token in options if token != "-"), "--", *dashes, *arguments]


def _command_of(tokens: Sequence[str]) -> str:
    words = tokens[: 2 if tokens[0] in _GROUPS else 1]
    return " ".join(("jsisnet", *words))


class _MessageHandler(logging.Handler):
    """Handler that prints log records as messages, each once, above a progress bar."""

    def __init__(self) -> None:
        super().__init__()
        self.printed: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        message = self.format(record)
        if message not in self.printed:
            self.printed.add(message)
            isours = record.name.startswith("jsisnet")
            for line in [message] if isours else message.splitlines():
                say(line)


def _null_stream() -> TextIO:
    """Open a stream for a process that was started without standard output or error."""
    return Path(os.devnull).open("w", encoding="utf-8")


def _report_main_thread(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Report uncaught errors of the main thread only; libraries' threads may die at exit."""
    if threading.current_thread() is threading.main_thread():
        sys.__excepthook__(kind, error, traceback)


def _debugging(tokens: Sequence[str]) -> bool:
    return DEBUG in tokens or bool(os.environ.get("JSISNET_DEBUG"))
