"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Folder = Annotated[Path, Parameter(metavar="DIR")]
"""Path of a folder."""

Archive = Annotated[Path, Parameter(metavar="DIR|ZIP")]
"""Path of a folder or of a zip, which is not unpacked."""

File = Annotated[Path, Parameter(metavar="FILE")]
"""Path of a file."""

Flag = Annotated[bool, Parameter(negative=())]
"""Whether an option is given."""

Model = Annotated[str, Parameter(metavar="NAME|DIR")]
"""Name or folder of a model."""

InstancesFrom = Annotated[str | None, Parameter(metavar="NAME|DIR")]
"""Name or folder of a model that finds the instances in place of the first one."""

Device = Annotated[str | None, Parameter(metavar="NAME")]
"""Name of a device; ``None`` for the best one."""

Overrides = Annotated[tuple[str, ...], Parameter(parse=False)]
"""Settings among the options, which `split` has taken out of the command line."""
