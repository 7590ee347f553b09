"""What a training needs to go on after it was killed, in one file."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from jsisnet.files.atomic import replacing


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """State of a training between two steps."""

    step: int
    """Steps done."""

    network: dict[str, Tensor]
    """State dictionary of the network in training."""

    average: dict[str, Tensor] | None
    """Moving average of the weights, if one is kept."""

    optimizer: dict[str, Any]
    """State dictionary of the optimiser."""

    scaler: dict[str, Any] = field(default_factory=dict)
    """State of the scaling of the loss, where half precision needs it."""

    def save(self, path: Path) -> None:
        """Write the file; what was there stays until the new one is complete."""
        with replacing(path) as temporary, temporary.open("wb") as file:
            try:
                torch.save({name: getattr(self, name) for name in self.__slots__}, file)
            except RuntimeError as error:
                # What a full disk says, torch hides behind an error of its own.
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from None
                raise
            file.flush()
            os.fsync(file.fileno())

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Read the file; nothing but tensors and plain values is taken from it.

        Raises:
            ValueError: If it is no checkpoint.
        """
        try:
            values = torch.load(path, map_location="cpu", weights_only=True)
            return cls(**values)
        except Exception as error:  # damaged files raise anything, IndexError and KeyError included
            raise ValueError(
                f"{path}: not a checkpoint of a training ({type(error).__name__})"
            ) from error
