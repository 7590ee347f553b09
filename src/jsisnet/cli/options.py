"""Types of options that several commands share."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Folder = Annotated[Path, Parameter(metavar="DIR")]
"""Path of a folder."""

Archive = Annotated[Path, Parameter(metavar="DIR|ZIP")]
"""Path of a folder or of a zip, which is read in place."""

File = Annotated[Path, Parameter(metavar="FILE")]
"""Path of a file."""

Flag = Annotated[bool, Parameter(negative=())]
"""Option without a value."""

Model = Annotated[str, Parameter(metavar="NAME|DIR")]
"""Built-in model, or the folder of a model or training run."""

InstancesFrom = Annotated[str | None, Parameter(metavar="NAME|DIR")]
"""Model that detects the instances in place of the first one."""

Device = Annotated[str | None, Parameter(metavar="NAME")]
"""Name of a torch device; ``None`` for a GPU if there is one."""

Overrides = Annotated[tuple[str, ...], Parameter(parse=False)]
"""Settings among the options, which `split_settings` takes out of the command line."""
