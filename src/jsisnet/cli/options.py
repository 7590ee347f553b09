"""Types of options that several commands share."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter, validators

if TYPE_CHECKING:
    from jsisnet.inference.engine import EngineOptions

Folder = Annotated[Path, Parameter(metavar="DIR")]
"""Path of a folder."""

Archive = Annotated[Path, Parameter(metavar="DIR|ZIP")]
"""Path of a folder or of a zip, which is read in place."""

File = Annotated[Path, Parameter(metavar="FILE")]
"""Path of a file."""

JsonFile = Annotated[Path, Parameter(metavar="FILE|-")]
"""Path of a JSON file to write, or ``-`` for standard output; tables then go to standard error."""

Flag = Annotated[bool, Parameter(negative=())]
"""Option without a value."""

Model = Annotated[str, Parameter(metavar="NAME|DIR")]
"""Built-in model, or the folder of a model or training run."""

InstancesFrom = Annotated[str | None, Parameter(metavar="NAME|DIR")]
"""Model that detects the instances in place of the first one."""

Device = Annotated[str, Parameter(metavar="NAME")]
"""Name of a device; ``auto`` for a GPU if there is one."""

ClusterAddress = Annotated[str | None, Parameter(metavar="ADDRESS")]
"""Ray cluster to run on; see `cli.cluster`."""

Overrides = Annotated[tuple[str, ...], Parameter(parse=False)]
"""Settings among the options, which `split_settings` takes out of the command line."""


def listed(values: Iterable[str]) -> list[str]:
    """Split the values of an option at commas, so that ``a,b`` is the same as two values."""
    return [name.strip() for value in values for name in value.split(",")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options for how a network runs."""

    engine: Annotated[str, Parameter(metavar="NAME")] = "auto"
    """What runs the network: onnxruntime, torch, torch-compile, openvino, or the engine of another
    package. Default: the first that can run the model here."""

    device: Device = "auto"
    """Device of the network: cpu, cuda, cuda:1, mps. Default: a GPU if there is one."""

    threads: Annotated[
        int | None, Parameter(metavar="NUMBER", validator=validators.Number(gte=1))
    ] = None
    """Threads on a CPU. Default: one per core."""

    precision: Literal["float32", "bfloat16"] = "float32"
    """Type of the arithmetic. bfloat16 changes the results a little; `jsisnet benchmark` measures
    whether it is faster here."""

    def options(self, overrides: tuple[str, ...]) -> "EngineOptions":
        """Return the options of an engine, with settings that win over those of the model."""
        from jsisnet.inference.engine import EngineOptions

        return EngineOptions(
            device=self.device,
            threads=self.threads,
            precision=self.precision,
            overrides=overrides,
        )
