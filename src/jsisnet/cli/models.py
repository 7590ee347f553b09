"""Models as the commands load them."""

import torch

from jsisnet.predictor import Predictor


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
