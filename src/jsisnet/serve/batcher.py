"""Dynamic batching: photos of several requests that a network sees at once."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Thread

import numpy as np

from jsisnet.arrays import UInt8
from jsisnet.inference.engine import Outputs
from jsisnet.panoptic import PanopticMap

Photo = UInt8[np.ndarray, "_ _ 3"]
Prediction = Outputs | PanopticMap
RunBatch = Callable[[Sequence[Photo]], Sequence[Prediction]]

PATIENCE = 0.005
"""Seconds that a photo waits for others. While a batch runs, the next one gathers anyway."""

_Item = tuple[Photo, "Future[Prediction]"]


class Batcher:
    """Runs photos from several threads in batches, in a thread of its own."""

    def __init__(self, run: RunBatch, most: int, patience: float = PATIENCE) -> None:
        """Start the thread.

        Args:
            run: Runs the network on a batch.
            most: Photos of a batch.
            patience: Seconds that a photo waits for others.
        """
        self._run, self._most, self._patience = run, most, patience
        self._waiting: SimpleQueue[_Item] = SimpleQueue()
        Thread(target=self._serve, name="batcher", daemon=True).start()

    def __call__(self, photo: Photo) -> Prediction:
        """Run the network on a photo, and on others beside it; safe from several threads."""
        future: Future[Prediction] = Future()
        self._waiting.put((photo, future))
        return future.result()

    def _serve(self) -> None:
        while True:
            self._finish(self._next())

    def _next(self) -> list[_Item]:
        """Wait for a photo, and a little for others."""
        batch = [self._waiting.get()]
        deadline = time.monotonic() + self._patience
        while len(batch) < self._most:
            try:
                batch.append(self._waiting.get(timeout=max(0.0, deadline - time.monotonic())))
            except Empty:
                break
        return batch

    def _finish(self, batch: Sequence[_Item]) -> None:
        """Run a batch; if that fails, run its photos one by one, so that only the bad one does."""
        try:
            found = self._run([photo for photo, _ in batch])
        except Exception as error:  # whatever the network raises belongs to its caller
            if len(batch) == 1:
                batch[0][1].set_exception(error)
                return
            for item in batch:
                self._finish([item])
            return
        for (_, future), prediction in zip(batch, found, strict=True):
            future.set_result(prediction)
