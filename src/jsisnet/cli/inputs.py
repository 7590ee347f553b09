"""Models, and data to measure them on, as the commands open them."""

from pathlib import Path

import torch

from jsisnet.data.dataset import DataConfig, PanopticDataset
from jsisnet.inference.predictor import Predictor


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
    return Predictor.load(model, *overrides, instances_from=instances_from, device=device)


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
