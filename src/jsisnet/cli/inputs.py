"""Photos, models and data sets that arguments of commands name."""

import glob
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from jsisnet.cli.options import RunOptions
from jsisnet.lazy import install_hint

if TYPE_CHECKING:
    from jsisnet.formats.dataset import PanopticDataset
    from jsisnet.formats.open import DatasetLocation, Format
    from jsisnet.inference.predictor import Predictor


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo to segment."""

    path: Path
    """Path of the file."""

    name: str
    """Stem of the files that are written for it; unique."""


@dataclass(frozen=True, slots=True)
class FoundPhotos:
    """Photos that arguments of the command line stand for."""

    photos: tuple[Photo, ...]
    """Unique photos in the order of the arguments, sorted within a folder or pattern."""

    unmatched: tuple[str, ...]
    """Arguments without any photo."""


def find_photos(arguments: Sequence[str]) -> FoundPhotos:
    """Find the photos that arguments stand for.

    Args:
        arguments: Files; folders, for the images directly in them; and glob patterns, in which
            ``**`` matches nested folders.

    Raises:
        ValueError: If no argument stands for a photo.
    """
    matches = {argument: list(_matches(argument)) for argument in arguments}
    if not any(matches.values()):
        if not arguments:
            raise ValueError("give at least one image, folder or pattern")
        raise ValueError(f"no image found: {', '.join(arguments)}")
    photos: dict[Path, Path] = {}
    for path in chain.from_iterable(matches.values()):
        photos.setdefault(path.resolve(), path)
    return FoundPhotos(
        photos=tuple(_named(photos.values())),
        unmatched=tuple(argument for argument, paths in matches.items() if not paths),
    )


def sample_photo(name: str) -> Path:
    """Return the path of one of scikit-image's photos.

    Raises:
        ValueError: If scikit-image is not installed or has no such photo.
    """
    package = find_spec("skimage")
    folders = [] if package is None else package.submodule_search_locations or []
    for folder in folders:
        path = Path(folder, "data", name)
        if path.is_file():
            return path
    if package is None:
        hint = install_hint(f"the sample photo {name}", "skimage")
        raise ValueError(f"{hint}; or give images of your own")
    raise ValueError(f"scikit-image has no photo {name}; give images of your own")


def _matches(argument: str) -> Iterator[Path]:
    # The name of a file may look like a pattern, so existing files are looked up first.
    exists = argument != "" and Path(argument).exists()
    names = [argument] if exists else sorted(glob.glob(argument, recursive=True))  # noqa: PTH207 - patterns may be absolute
    for path in map(Path, names):
        if path.is_dir():
            yield from sorted(filter(_ispicture, path.iterdir()))
        elif path.exists():
            yield path


def _ispicture(path: Path) -> bool:
    from jsisnet.files.photos import has_photo_suffix

    return has_photo_suffix(path) and not path.name.startswith(".") and path.is_file()


def _named(paths: Iterable[Path]) -> Iterator[Photo]:
    """Name photos by their stems; repeated stems get the suffixes ``_2``, ``_3`` and so on."""
    paths = list(paths)
    stems = {path.stem.casefold() for path in paths}
    taken: set[str] = set()
    for path in paths:
        name, count = path.stem, 1
        # Some file systems ignore case.
        while name.casefold() in taken or (count > 1 and name.casefold() in stems):
            count += 1
            name = f"{path.stem}_{count}"
        taken.add(name.casefold())
        yield Photo(path, name)


def load_model(
    model: str,
    overrides: tuple[str, ...],
    run: RunOptions,
    *,
    instances_from: str | None = None,
) -> "Predictor":
    """Load a model, or two for one predictor.

    Raises:
        ValueError: If there is no such model, engine or device, or the two models don't fit
            together.
    """
    from jsisnet.inference.predictor import Predictor

    return Predictor(
        model,
        instances_from=instances_from,
        engine=run.engine,
        options=run.options(overrides),
    )


def open_for_model(
    predictor: "Predictor",
    kind: "Format | None",
    location: "DatasetLocation",
    *,
    recount_areas: bool,
) -> "PanopticDataset":
    """Open a data set in the classes of a model.

    Args:
        predictor: The model.
        kind: Format; default: vistas if the annotations are a folder, otherwise coco.
        location: Where the data set is.
        recount_areas: Whether to accept a JSON file whose areas differ from its PNGs.

    Raises:
        ValueError: If an option is missing, a file is missing or damaged, or the model lacks a
            class of the data set.
    """
    from jsisnet.formats.dataset import DataConfig, PanopticDataset
    from jsisnet.formats.open import check_location, photo_folder

    if kind is None:
        isfolder = location.annotations is not None and location.annotations.is_dir()
        kind = "vistas" if isfolder else "coco"
    check_location(kind, location, prefix="--")
    if photo_folder(kind, location) is None:
        raise ValueError("--images is required: the folder of the photos")
    data = DataConfig.at(kind, location, recount_areas=recount_areas)
    return PanopticDataset(data, predictor.categories)
