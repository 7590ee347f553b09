"""Segmentation of photos by the actors of a cluster."""

import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jsisnet.inference.batch import Segmentation
from jsisnet.inference.photo_files import Photo
from jsisnet.inference.photo_job import Outcome, PhotoJob
from jsisnet.inference.pipeline import overlapped
from jsisnet.inference.results_folder import JOURNAL
from jsisnet.inference.workers import portable
from jsisnet.scale.cluster import LostError, connected
from jsisnet.scale.connection import ClusterConfig

_MOST, _CHUNKS = 8, 8
"""Most photos that an actor gets at a time on a CPU, and fewest chunks for each actor, so that all
end at the same time."""


def segment_on_cluster(config: ClusterConfig) -> Segmentation:
    """Return what segments photos on a cluster; see `BatchConfig.segment`.

    The files are written by the machines of the cluster, so that all of them need the folders under
    the same paths, unless they are in an object store.
    """

    def segment(
        photos: Sequence[Photo], job: PhotoJob, on_warning: Callable[[str], object]
    ) -> Iterator[Outcome]:
        if not photos:
            return
        with connected(config) as cluster:
            work = _Segment(job, tuple(_shared(photos, job)))
            chunk = _chunk(len(photos), cluster.workers, job)
            for number, outcome in cluster.run(work, photos, chunk, on_warning):
                if isinstance(outcome, LostError):
                    yield Outcome(photo=photos[number], error=outcome)
                else:
                    yield outcome

    return segment


def _chunk(photos: int, workers: int, job: PhotoJob) -> int:
    """Return the number of photos that an actor gets at a time."""
    engine = job.predictor.engine
    most = _MOST if engine.device == "cpu" else _MOST * engine.batch_size
    return max(1, min(most, photos // (_CHUNKS * workers)))


def _shared(photos: Sequence[Photo], job: PhotoJob) -> Iterator[Path]:
    """Return files that every machine must see: of the results, and one of each folder."""
    for folder, name in ((job.folder, JOURNAL), (job.config.raw, "")):
        if folder is not None and (folder / name).exists():
            yield folder / name
    files = {photo.file.parent: photo.file for photo in photos if photo.file is not None}
    yield from (file for file in files.values() if file.exists())


@dataclass(frozen=True, slots=True)
class _Segment:
    """Segments photos in an actor."""

    job: PhotoJob
    shared: tuple[Path, ...]

    def __call__(self, photos: Iterable[Photo]) -> Iterator[Outcome]:
        for path in self.shared:
            if not path.exists():
                raise ValueError(
                    f"{path}: not seen by the machine {socket.gethostname()} of the cluster; its "
                    "machines need a shared disk with the photos and results under the same "
                    "paths, or give URLs of an object store, such as s3://BUCKET/photos"
                )
        if self.job.predictor.engine.device == "cpu":
            outcomes: Iterable[Outcome] = map(self.job.segment, photos)
        else:
            outcomes = overlapped(photos, self.job, lambda _: None)
        yield from map(portable, outcomes)
