"""Checkpoint file, from which an interrupted training resumes."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from jsisnet.files.atomic import replacing


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """State of a training after a step."""

    step: int
    """Number of completed steps."""

    network: dict[str, Tensor]
    """State dictionary of the network."""

    average: dict[str, Tensor] | None
    """Moving average of the weights; ``None`` without one."""

    optimizer: dict[str, Any]
    """State dictionary of the optimiser."""

    scaler: dict[str, Any] = field(default_factory=dict)
    """State of the loss scaler of 16-bit precision; empty without one."""

    data: dict[str, str] = field(default_factory=dict)
    """Hash of each training data set by its name; empty in older files."""

    def save(self, path: Path) -> None:
        """Write the file; an existing one is only replaced by a complete one."""
        with replacing(path) as temporary, temporary.open("wb") as file:
            try:
                torch.save({name: getattr(self, name) for name in self.__slots__}, file)
            except RuntimeError as error:
                # torch hides the error of a full disk behind its own.
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from None
                raise
            file.flush()
            os.fsync(file.fileno())

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Read the file. Only tensors and plain values are unpickled.

        Raises:
            ValueError: If the file is not a checkpoint.
        """
        try:
            values = torch.load(path, map_location="cpu", weights_only=True)
            return cls(**values)
        except Exception as error:  # damaged files raise errors of any type
            raise ValueError(
                f"{path}: not a training checkpoint ({type(error).__name__})"
            ) from error
