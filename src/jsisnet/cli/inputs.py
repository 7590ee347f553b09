"""Models, and data to measure them on, as the commands open them."""

import glob
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

import torch
from PIL import Image

from jsisnet.data.dataset import DataConfig, PanopticDataset
from jsisnet.files.photos import FORMATS
from jsisnet.inference.predictor import Predictor


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo to segment."""

    path: Path
    """The file."""

    name: str
    """Stem of the files that are made of it."""


@dataclass(frozen=True, slots=True)
class Found:
    """What some arguments stand for."""

    photos: tuple[Photo, ...]
    """Each photo once, in the order of the arguments and sorted within a folder or a pattern."""

    unmatched: tuple[str, ...]
    """Arguments that stand for no photo."""


def find(arguments: Sequence[str]) -> Found:
    """Find the photos that arguments stand for.

    Args:
        arguments: Files; folders, which stand for the pictures directly in them; and patterns in
            the manner of the shell, where ``**`` matches folders in folders.

    Raises:
        ValueError: If there is no photo at all.
    """
    matches = {argument: list(_matches(argument)) for argument in arguments}
    if not any(matches.values()):
        raise ValueError(f"no photo found: {', '.join(arguments) or 'no IMAGE was given'}")
    photos: dict[Path, Path] = {}
    for path in chain.from_iterable(matches.values()):
        photos.setdefault(path.resolve(), path)
    return Found(
        photos=tuple(_named(photos.values())),
        unmatched=tuple(argument for argument, paths in matches.items() if not paths),
    )


def packaged(name: str) -> Path:
    """Give one of scikit-image's photos.

    Raises:
        ValueError: If scikit-image is not installed or lacks the photo.
    """
    package = find_spec("skimage")
    folders = [] if package is None else package.submodule_search_locations or []
    for folder in folders:
        path = Path(folder, "data", name)
        if path.is_file():
            return path
    raise ValueError(
        f"the photo {name} is not here; expected one of your own, or jsisnet[demo] installed"
    )


def _matches(argument: str) -> Iterator[Path]:
    # A file may have the name of a pattern, so the name comes first.
    exists = argument != "" and Path(argument).exists()
    names = [argument] if exists else sorted(glob.glob(argument, recursive=True))  # noqa: PTH207 - patterns may be absolute
    for path in map(Path, names):
        if path.is_dir():
            yield from sorted(filter(_ispicture, path.iterdir()))
        elif path.exists():
            yield path


def _ispicture(path: Path) -> bool:
    kind = Image.registered_extensions().get(path.suffix.lower())
    return kind in FORMATS and not path.name.startswith(".") and path.is_file()


def _named(paths: Iterable[Path]) -> Iterator[Photo]:
    """Name photos by their stems; further ones of a stem get ``_2``, ``_3`` and so on."""
    paths = list(paths)
    stems = {path.stem.casefold() for path in paths}
    taken: set[str] = set()
    for path in paths:
        name, count = path.stem, 1
        # Some systems don't tell capitals apart.
        while name.casefold() in taken or (count > 1 and name.casefold() in stems):
            count += 1
            name = f"{path.stem}_{count}"
        taken.add(name.casefold())
        yield Photo(path, name)


def load(
    model: str,
    overrides: tuple[str, ...],
    device: str | None,
    *,
    instances_from: str | None = None,
) -> Predictor:
    """Read a model, or two as `Predictor` does, onto a device, by default a GPU if there is one.

    Raises:
        ValueError: If there is no such model or device, or two models don't fit together.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f"the device {device!r} can't be used here; expected cpu") from error
    return Predictor.load(model, instances_from=instances_from, device=device, overrides=overrides)


def measured_on(
    predictor: Predictor,
    images: Path,
    annotations: Path,
    pngs: Path | None,
    *,
    recount_areas: bool,
) -> PanopticDataset:
    """Open a data set in the classes of a model: COCO's, or a folder of Mapillary Vistas.

    Raises:
        ValueError: If a file is missing or damaged, or the model lacks a class of it.
    """
    data = DataConfig(
        images=str(images),
        annotations=str(annotations),
        kind="vistas" if annotations.is_dir() else "panoptic",
        pngs=None if pngs is None else str(pngs),
        recount_areas=recount_areas,
    )
    return PanopticDataset(data, predictor.categories)
