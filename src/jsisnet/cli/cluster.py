"""What commands do with ``--cluster``."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from jsisnet.cli.options import RunOptions
from jsisnet.files.remote import is_url

if TYPE_CHECKING:
    from jsisnet.inference.batch import BatchConfig
    from jsisnet.inference.predictor import Predictor
    from jsisnet.scale.connection import ClusterConfig


def cluster_config(
    address: str, workers: int | None = None, run: RunOptions | None = None, *, device: str = "cpu"
) -> "ClusterConfig":
    """Return the settings of a cluster.

    Args:
        address: What ``--cluster`` is given.
        workers: Number of actors.
        run: How the network of each runs.
        device: Device that the network has here; each actor has one GPU if it is none of a CPU.
    """
    from jsisnet.scale.connection import ClusterConfig

    threads = 1 if run is None else run.threads or 1
    return ClusterConfig(address=address, workers=workers, threads=threads, gpu=device != "cpu")


def local_path(path: str) -> str:
    """Return a path of a ``file://`` URL as that of a file, and any other one as it is.

    Raises:
        ValueError: If the URL names another machine.
    """
    from urllib.parse import unquote

    if not path.lower().startswith("file://"):
        return path
    host, slash, rest = path.removeprefix(path[:7]).partition("/")
    if host.lower() not in ("", "localhost"):
        raise ValueError(f"{path}: a file of another machine; expected file:///PATH")
    # Patterns have question marks, which would begin the query of other URLs.
    return slash + unquote(rest)


def local_folder(out: str | None) -> Path | None:
    """Return the folder on a disk that ``--out`` names.

    Raises:
        ValueError: If it is the URL of an object store, to which a cluster alone writes.
    """
    if out is not None and is_url(out):
        raise ValueError(f"{out}: a URL; give a folder, or add --cluster local")
    return None if out is None else Path(local_path(out))


def refuse_folders(**folders: Path | None) -> None:
    """Raise a `ValueError` if an option is given that a cluster has no use for."""
    for name, folder in folders.items():
        if folder is not None:
            raise ValueError(f"--{name} needs all results in one process; leave out --cluster")


def predict_on_cluster(
    images: Sequence[str],
    out: str | None,
    load: "Callable[[], Predictor]",
    config: "BatchConfig",
    place: "ClusterConfig",
    *,
    quiet: bool,
) -> int:
    """Segment photos on a cluster, and return the exit code.

    Args:
        images: What `jsisnet predict` is given; URLs of object stores too.
        out: What ``--out`` is given; may be a URL.
        load: Loads the model with the threads of one actor.
        config: How the photos are segmented.
        place: Settings of the cluster.
        quiet: Whether to print errors only.

    Raises:
        ValueError: If tiles are wanted, or there is no photo.
    """
    from jsisnet.cli.photos import found_photos, segment_photos
    from jsisnet.scale.photos import segment_on_cluster
    from jsisnet.scale.store import find_stored

    if config.tiles is not None:
        raise ValueError("tiles are segmented on one machine; leave out --tiles or --cluster")
    folder = out if out is None or is_url(out) else local_folder(out)
    found = found_photos([local_path(image) for image in images], folder, find_stored)
    predictor = load()
    place = replace(place, gpu=predictor.engine.device != "cpu")
    config = replace(config, segment=segment_on_cluster(place))
    return segment_photos(found, predictor, folder, config, quiet=quiet)
