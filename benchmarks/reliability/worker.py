"""Process that runs commands in forked children, so that none waits for imports.

It reads a line of JSON for each command from standard input, ``{"tokens", "room", "limit"}``, and
writes one for its end: ``{"code", "signal", "seconds", "memory", "hangs"}``. Standard output and
error of the command go to ``log.out`` and ``log.err`` in the room.
"""

import importlib
import json
import os
import resource
import signal
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path

MODULES = (
    *("numpy", "PIL.Image", "yaml", "hotcoco", "onnxruntime", "filelock", "rich.table", "jinja2"),
    *(f"jsisnet.cli.{name}" for name in ("predict", "evaluate", "score", "compare", "submit")),
    *(f"jsisnet.cli.{name}" for name in ("merge", "show", "plot", "models")),
    *(f"jsisnet.cli.data.{name}" for name in ("check", "convert", "merge_classes", "split")),
    *(f"jsisnet.cli.data.{name}" for name in ("stats", "show", "list_images")),
)
"""What the commands import."""

TORCH = ("torch", "torchvision", "timm", "jsisnet.cli.train", "jsisnet.training.trainer")
"""What a training imports as well."""

CEILING = 12 * 2**30
"""Bytes of address space of a command, a safety net far above the limit that is tested."""


def main() -> None:
    """Import, and run commands until standard input ends."""
    app = importlib.import_module("jsisnet.cli.app")
    for name in MODULES + (TORCH if "torch" in sys.argv[1:] else ()):
        try:
            importlib.import_module(name)
        except ImportError as error:
            print(f"{name}: {error}", file=sys.stderr)
    if "torch" in sys.argv[1:]:
        importlib.import_module("torch").set_num_threads(1)
    for line in sys.stdin:
        task = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(task["tokens"], Path(task["room"]), app)
        print(json.dumps(_await(child, task["limit"])), flush=True)


def _become(tokens: list[str], room: Path, app: object) -> None:
    """Run a command in this process, and end it."""
    os.setsid()
    os.chdir(room)
    resource.setrlimit(resource.RLIMIT_AS, (CEILING, CEILING))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number, name in ((1, "log.out"), (2, "log.err")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.argv = ["jsisnet", *tokens]
    code = 99
    try:
        code = app.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _await(child: int, limit: float) -> dict[str, object]:
    """Wait for a child and its session, and kill what takes too long."""
    began, hangs = time.perf_counter(), False
    while True:
        ended, status, used = os.wait4(child, os.WNOHANG)
        if ended:
            break
        if time.perf_counter() - began > limit:
            hangs = True
            os.killpg(child, signal.SIGKILL)
            _, status, used = os.wait4(child, 0)
            break
        time.sleep(0.002)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what it left behind
    return {
        "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1,
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
        "seconds": time.perf_counter() - began,
        "memory": used.ru_maxrss * 1024,
        "hangs": hangs,
    }


if __name__ == "__main__":
    main()
