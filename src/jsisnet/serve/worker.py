"""A worker process: it loads a model and answers tasks until its pipes are closed."""

import signal
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from jsisnet.files.processes import exit_with_parent, reuse_freed_memory
from jsisnet.inference.engine import AUTO, Engine, EngineOptions
from jsisnet.serve import logs

if TYPE_CHECKING:
    from jsisnet.serve.segmenter import Segmenter


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """A model, and how a worker runs it; it is pickled."""

    model: str | Path | Engine = "coco"
    """Name of a built-in model, a model or run folder, an exported network, or an engine that can
    be pickled."""

    engine: str = AUTO
    """What runs the network."""

    options: EngineOptions = field(default_factory=lambda: EngineOptions(threads=1))
    """How the network runs."""

    max_pixels: int = 50_000_000
    """Pixels of the largest photo that is decoded."""

    def open(self) -> "Segmenter":
        """Load the model.

        Raises:
            ValueError: If it can't be loaded.
        """
        # Importing NumPy and the engines takes time, which the server's own process need not spend.
        from jsisnet.inference.predictor import Predictor
        from jsisnet.serve.segmenter import Segmenter

        predictor = Predictor(self.model, engine=self.engine, options=self.options)
        return Segmenter(predictor, self.max_pixels)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a worker could not load its model."""

    reason: str


def work(connections: Sequence[Connection], opened: Callable[[], "Segmenter"]) -> None:
    """Load a model, and answer the tasks that come through pipes.

    The first pipe also brings the server a description of the model, or a `Failure`. As many pipes
    are used as the model takes photos at a time.

    Args:
        connections: Ends of the pipes.
        opened: Loads the model.
    """
    # Ctrl-C and service managers signal all processes; the server ends its workers when it is done.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    exit_with_parent()
    warnings.simplefilter("ignore")
    logs.configure("WARNING")
    reuse_freed_memory()
    with suppress(EOFError, OSError):  # the server is gone
        try:
            segmenter = opened()
            description = segmenter.describe()
        except Exception as error:  # engines raise anything
            connections[0].send(Failure(" ".join(f"{error}".split()) or type(error).__name__))
            return
        lanes, surplus = connections[: description.lanes], connections[description.lanes :]
        for connection in surplus:
            connection.close()
        lanes[0].send(description)
        for connection in lanes[1:]:
            Thread(target=_answer, args=(connection, segmenter), daemon=True).start()
        _answer(lanes[0], segmenter)


def _answer(connection: Connection, segmenter: "Segmenter") -> None:
    with suppress(EOFError, OSError):
        while True:
            connection.send(segmenter(connection.recv()))
