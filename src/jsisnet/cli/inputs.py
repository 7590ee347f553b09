"""Models, sample photos and data sets that arguments of commands name."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from jsisnet.cli.options import RunOptions
from jsisnet.lazy import install_hint

if TYPE_CHECKING:
    from jsisnet.formats.dataset import PanopticDataset
    from jsisnet.formats.open import DatasetLocation, Format
    from jsisnet.inference.predictor import Predictor
    from jsisnet.training.config import RunConfig

SCENES = ("panoptic_train.json", "panoptic_val.json")
"""Annotations of the scenes that `jsisnet data generate` writes."""


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


def load_model(  # noqa: PLR0913 - options of the command line
    model: str,
    overrides: tuple[str, ...],
    run: RunOptions,
    *,
    instances_from: str | None = None,
    classes: Sequence[str] | None = None,
    min_score: float | None = None,
    tta: bool = False,
) -> "Predictor":
    """Load a model, or two for one predictor.

    Args:
        model: Built-in model, or the folder of a model or training run.
        overrides: Settings that override those of the model.
        run: How the network runs.
        instances_from: Model that detects the instances.
        classes: Names of the classes to segment; all by default.
        min_score: Lowest score of a thing; the model's own by default.
        tta: Whether to pool the outputs for several views of each photo.

    Raises:
        ValueError: If there is no such model, engine or device, or the two models don't fit
            together.
    """
    from jsisnet.inference.predictor import Predictor

    return Predictor(
        model,
        instances_from=instances_from,
        engine=run.engine,
        classes=classes,
        tta=tta,
        options=run.options(overrides),
        **({} if min_score is None else {"min_score": min_score}),
    )


def require_data(settings: "RunConfig") -> None:
    """Check that the main files of a training's data exist, before anything takes time.

    Raises:
        ValueError: If one is missing; the message says how to give the folder, and for the scenes
            how to generate them.
    """
    from jsisnet.files.archives import file_exists

    parts = [data for data in settings.sources() if data.weight > 0]
    if settings.validation is not None:
        parts.append(settings.validation.under(settings.root))
    for data in parts:
        if data.path.exists() or file_exists(data.path):
            continue
        hint = "give the folder of the data with --root DIR"
        if data.annotations in SCENES:
            hint += (
                ", or generate scenes with `jsisnet data generate --out scenes` and add "
                "--root scenes"
            )
        raise ValueError(f"{data.path}: no such file or folder; {hint}")


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
