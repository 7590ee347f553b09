"""Evaluation and scores on a cluster: partial sums that are added up."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TypeVar

from jsisnet.files.processes import Share
from jsisnet.formats.dataset import PanopticDataset
from jsisnet.inference.evaluator import Evaluation, evaluate
from jsisnet.inference.predictor import Predictor
from jsisnet.scale.cluster import LostError, connected
from jsisnet.scale.connection import ClusterConfig

_IMAGES = 8
"""Images whose metrics an actor adds up before it sends them."""

Result = TypeVar("Result")


def share_out(
    share: Share[Result],
    count: int,
    config: ClusterConfig,
    on_warning: Callable[[str], object] = lambda _: None,
) -> Iterator[Result]:
    """Yield results in order, computed by the actors of a cluster; see `files.processes.in_order`.

    Raises:
        ValueError: If `share` raises it, no cluster answers, or an actor is killed twice by one
            number.
    """
    early: dict[int, Result] = {}
    due = 0
    if not count:
        return
    with connected(config) as cluster:
        for number, result in cluster.run(share, range(count), 1, on_warning):
            if isinstance(result, LostError):
                raise result
            early[number] = result
            while due in early:
                yield early.pop(due)
                due += 1


def evaluate_on_cluster(
    predictor: Predictor,
    dataset: PanopticDataset,
    config: ClusterConfig,
    *,
    on_image: Callable[[int, int], object] = lambda *_: None,
    ap: bool = False,
) -> Evaluation:
    """Segment the images of a data set on a cluster, and compare them with the ground truth.

    Args:
        predictor: Trained network.
        dataset: Data set, opened with the predictor's categories; every machine of the cluster
            needs its files under the same paths.
        config: The cluster.
        on_image: Called with the number of images done and the total.
        ap: Whether to measure average precision.

    Raises:
        ValueError: See `evaluate` and `share_out`.
    """
    shares = max(1, -(-len(dataset) // _IMAGES))
    work = _Evaluate(predictor, dataset, shares, ap)

    def told(parts: Iterable[Evaluation]) -> Iterator[Evaluation]:
        done = 0
        for part in parts:
            done += len(part.images)
            on_image(done, len(dataset))
            yield part

    return reduce(add, told(share_out(work, shares, config)))


@dataclass(frozen=True, slots=True)
class _Evaluate:
    """Evaluates shares of a data set in an actor."""

    predictor: Predictor
    dataset: PanopticDataset
    shares: int
    ap: bool

    def __call__(self, ranks: Iterable[int]) -> Iterator[Evaluation]:
        for rank in ranks:
            yield evaluate(self.predictor, self.dataset, share=(rank, self.shares), ap=self.ap)
