"""Comparison of the engines that can run a model here: speed, and differences in the map."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from textwrap import shorten

import numpy as np

from jsisnet.arrays import UInt8
from jsisnet.inference.engine import PRECISIONS, EngineOptions, engine_names, open_engine
from jsisnet.inference.predictor import Predictor
from jsisnet.panoptic import VOID, PanopticMap

SAME = 0.001
"""Fraction of differing pixels up to which a map counts as the same."""

_MAX_REASON = 300
"""Length to which a reason is shortened."""

_COMPILED = "torch-compile"
"""Engine that takes minutes to start, and is compared on request only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contestant:
    """An engine with a precision."""

    engine: str
    precision: str

    @property
    def title(self) -> str:
        """Name of the engine, and the precision unless it is the usual one."""
        return self.engine if self.precision == PRECISIONS[0] else f"{self.engine} {self.precision}"


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineSpeed:
    """Measurements of one contestant, or why it can't run the model here."""

    contestant: Contestant
    device: str = ""
    load_seconds: float = 0.0
    milliseconds: float = 0.0
    """Median time from photo to panoptic map."""

    cpu_milliseconds: float = 0.0
    """Median CPU time of all threads."""

    difference: float = 0.0
    """Fraction of the pixels whose segment differs from that of the first engine."""

    reason: str | None = None
    """Why it can't run; ``None`` if it was measured."""


def contestants(*, compiled: bool = False) -> list[Contestant]:
    """List the engines of all installed packages with each precision, single precision first."""
    names = [name for name in engine_names() if compiled or name != _COMPILED]
    return [
        Contestant(engine=name, precision=precision) for precision in PRECISIONS for name in names
    ]


def compare_engines(
    model: str | Path,
    image: UInt8[np.ndarray, "h w 3"],
    chosen: list[Contestant],
    *,
    options: EngineOptions,
    rounds: int = 5,
    on_part: Callable[[int, int], None] = lambda *_: None,
) -> Iterator[EngineSpeed]:
    """Time engines on one photo, in turn, so that all meet the same load of the machine.

    Args:
        model: Name of a built-in model, a model or run folder, or an exported network.
        image: The photo.
        chosen: What to compare; the first that runs is what maps are compared with.
        options: How the networks run, apart from the precision.
        rounds: Timings of each.
        on_part: Called with the number of parts done and the total.

    Yields:
        Measurements in the order of `chosen`.
    """
    total = len(chosen) + rounds
    loaded: dict[Contestant, tuple[Predictor, float]] = {}
    failed: dict[Contestant, str] = {}
    for number, contestant in enumerate(chosen, 1):
        began = time.perf_counter()
        try:
            predictor = _open(model, contestant, options)
            predictor.panoptic(image)
            loaded[contestant] = predictor, time.perf_counter() - began
        except Exception as error:  # the libraries raise classes of their own
            failed[contestant] = shorten(str(error) or type(error).__name__, _MAX_REASON)
        on_part(number, total)
    timings: dict[Contestant, list[tuple[float, float]]] = {each: [] for each in loaded}
    for number in range(1, rounds + 1):
        for contestant, (predictor, _) in loaded.items():
            timings[contestant].append(_time(predictor, image))
        on_part(len(chosen) + number, total)
    maps = {each: predictor.panoptic(image) for each, (predictor, _) in loaded.items()}
    for contestant in chosen:
        if contestant in failed:
            yield EngineSpeed(contestant=contestant, reason=failed[contestant])
            continue
        predictor, seconds = loaded[contestant]
        wall, cpu = zip(*timings[contestant], strict=True)
        yield EngineSpeed(
            contestant=contestant,
            device=predictor.engine.device,
            load_seconds=seconds,
            milliseconds=1e3 * median(wall),
            cpu_milliseconds=1e3 * median(cpu),
            difference=map_difference(next(iter(maps.values())), maps[contestant]),
        )


def recommended(measured: list[EngineSpeed]) -> EngineSpeed | None:
    """Return the fastest engine whose map is the same; ``None`` if none could run."""
    same = [each for each in measured if each.reason is None and each.difference <= SAME]
    return min(same, key=lambda each: each.milliseconds, default=None)


def map_difference(first: PanopticMap, second: PanopticMap) -> float:
    """Return the fraction of pixels that belong to different segments in two maps of one image.

    Segments are matched first, those of one class with the largest overlap, so that another order
    of the segments makes no difference.
    """
    if first.ids.size == 0:
        return 0.0
    stride = len(second.segments) + 1
    codes = first.ids.astype(np.int64) * stride + second.ids
    pairs, counts = np.unique(codes, return_counts=True)
    agreeing, used = 0, set[tuple[str, int]]()
    for pair, count in sorted(zip(pairs.tolist(), counts.tolist(), strict=True), key=_by_count):
        mine, theirs = divmod(pair, stride)
        if VOID in (mine, theirs):
            agreeing += count if mine == theirs else 0
            continue
        labels = first.segments[mine - 1].label, second.segments[theirs - 1].label
        if labels[0] == labels[1] and not used & {("first", mine), ("second", theirs)}:
            agreeing += count
            used |= {("first", mine), ("second", theirs)}
    return 1 - agreeing / first.ids.size


def _by_count(pair: tuple[int, int]) -> int:
    return -pair[1]


def _open(model: str | Path, contestant: Contestant, options: EngineOptions) -> Predictor:
    chosen = replace(options, precision=contestant.precision)
    return Predictor(open_engine(model, contestant.engine, chosen))


def _time(predictor: Predictor, image: UInt8[np.ndarray, "h w 3"]) -> tuple[float, float]:
    began, used = time.perf_counter(), time.process_time()
    predictor.panoptic(image)
    return time.perf_counter() - began, time.process_time() - used
