"""Checkpoint file, from which an interrupted training resumes."""

import os
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from jsisnet.files.atomic import replacing
from jsisnet.files.checksum import NAME, UNSET, check_intact, seal
from jsisnet.files.regular import check_regular

_HAS_CHECKSUM = "has_checksum"
"""Key in the file that says that a checksum stands at its end, which a cut would remove."""


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
        """Write the file; an existing one is only replaced by a complete one.

        The same state always has the same bytes.
        """
        with replacing(path) as temporary, temporary.open("w+b") as file:
            try:
                values = {name: _rebuilt(getattr(self, name)) for name in self.__slots__}
                torch.save(values | {_HAS_CHECKSUM: True}, file)
            except RuntimeError as error:
                # torch hides the error of a full disk behind its own.
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from None
                raise
            _add_checksum(file)
            os.fsync(file.fileno())

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Read the file. Only tensors and plain values are unpickled.

        Raises:
            ValueError: If the file is not a checkpoint, or is damaged.
        """
        check_regular(path)
        remedy = (
            f"start a new run from its model (--start {path.parent} --out OTHER), or delete the "
            "checkpoint to begin this run again"
        )
        isintact = False
        with suppress(OSError):  # torch explains it
            isintact = check_intact(path, remedy)
        try:
            values = torch.load(path, map_location="cpu", weights_only=True)
            iscut = values.pop(_HAS_CHECKSUM, False) and not isintact
            checkpoint = cls(**values)
        except Exception as error:  # damaged files raise errors of any type
            raise ValueError(
                f"{path}: not a training checkpoint ({type(error).__name__})"
            ) from error
        if iscut:
            raise ValueError(
                f"{path}: damaged, as its checksum is missing (a copy saved by another program "
                f"must leave out the key {_HAS_CHECKSUM!r}); {remedy}"
            )
        return checkpoint


def _rebuilt(value: Any) -> Any:  # noqa: ANN401 - what torch's state dictionaries contain
    """Rebuild the containers of a state, and share its strings.

    The bytes of a pickle depend on which objects are the same one, and a restored state shares
    fewer of them.
    """
    if isinstance(value, dict):
        return {_rebuilt(name): _rebuilt(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_rebuilt, value))
    return sys.intern(value) if isinstance(value, str) else value


def _add_checksum(file: BinaryIO) -> None:
    """Add a checksum to a file of torch, as the comment of a zip archive."""
    comment = f"{NAME}: {UNSET}".encode()
    # An archive ends with the length of its comment, in two bytes, and the comment.
    file.seek(-2, os.SEEK_END)
    file.write(len(comment).to_bytes(2, "little") + comment)
    seal(file)
