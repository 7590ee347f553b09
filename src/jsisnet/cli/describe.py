"""`jsisnet describe`: list the stages of a network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from jsisnet.categories import Categories, Category
from jsisnet.cli.console import display
from jsisnet.cli.options import Overrides
from jsisnet.cli.tables import NONE, table

if TYPE_CHECKING:
    from rich.table import Table

    from jsisnet.formats.dataset import DataConfig
    from jsisnet.model.costs import Shape, Stage
    from jsisnet.model.network import NetworkConfig

COCO, MERGED_COCO = (80, 53), (12, 15)
"""Numbers of thing and stuff classes of COCO: all, and merged by supercategory."""

VISTAS = (37, 28)
"""Numbers of thing and stuff classes of Mapillary Vistas 1.2."""

_NO_DATA = {"images": ".", "annotations": "."}
"""Data section of a configuration without one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """Configuration of a network and the number of its classes; no weights."""

    network: "NetworkConfig"
    size: tuple[int, int]
    """Height and width of the input, in pixels."""

    categories: Categories
    """Placeholder classes, as many as the network has."""

    source: str
    """Origin of the number of classes, for the user."""


def read_architecture(
    name: str, overrides: tuple[str, ...], *, things: int | None, stuff: int | None
) -> Architecture:
    """Read the configuration of a network from a file or a model.

    Args:
        name: YAML file of a training, built-in model, or folder of a model or training run.
        overrides: Settings that override those of the file.
        things: Number of thing classes; ``None`` for that of the data.
        stuff: Number of stuff classes; ``None`` for that of the data.

    Raises:
        ValueError: If there is no such file or model, or it is invalid.
    """
    from jsisnet.inference.model_folder import embedded_names
    from jsisnet.model import saved_model
    from jsisnet.settings import from_dict
    from jsisnet.training.config import RunConfig, built_in_configs, read_values

    path = Path(name)
    if f"{name}.yaml" in built_in_configs() and not path.exists() and name not in embedded_names():
        raise ValueError(f"No model named {name!r}. Did you mean the configuration {name}.yaml?")
    if path.suffix.lower() in (".yaml", ".yml"):
        values = {"data": _NO_DATA} | read_values(path)
        config = from_dict(RunConfig, values, overrides, source=name)
        network, size = config.network, config.prediction_size
        counts, source = _classes(config.sources())
    else:
        if overrides:
            raise ValueError(
                f"{overrides[0]} is a setting of a .yaml file; {name} is a model, and fixed"
            )
        model = saved_model.read(name)
        network, size = model.config.network, model.config.size
        counts, source = _counts(model.categories), "the model"
    if things is not None or stuff is not None:
        source = "the options"
    chosen = (counts[0] if things is None else things, counts[1] if stuff is None else stuff)
    return Architecture(
        network=network, size=size, categories=_placeholders(*chosen), source=source
    )


def _classes(sources: "Sequence[DataConfig]") -> tuple[tuple[int, int], str]:
    from jsisnet.data.sources import common_categories

    used = [data for data in sources if data.weight > 0]
    if not all(map(_exists, used)):
        if sources[0].kind == "vistas":
            return VISTAS, "Mapillary Vistas 1.2 (no annotations found)"
        counts = COCO if sources[0].merge is None else MERGED_COCO
        return counts, "COCO (no annotations found)"
    return _counts(common_categories(sources)), ", ".join(str(data.path) for data in used)


def _exists(data: "DataConfig") -> bool:
    if data.kind.startswith("coco"):
        return data.path.is_file()
    # Any folder may be the root of Cityscapes, such as the current one.
    inside = data.kind == "cityscapes" and data.path.is_dir()
    return (data.path / "gtFine").exists() if inside else data.path.exists()


def _counts(categories: Categories) -> tuple[int, int]:
    return len(categories.thing_labels), len(categories.stuff_labels)


def _placeholders(things: int, stuff: int) -> Categories:
    from jsisnet.panoptic import MAX_LABELS

    if things < 0 or stuff < 0:
        raise ValueError(f"{things} things and {stuff} stuff classes; expected 0 or more")
    if things + stuff > MAX_LABELS:
        raise ValueError(f"{things + stuff} classes; expected at most {MAX_LABELS}")
    return Categories(
        tuple(
            Category(id=number, name=str(number), isthing=number < things)
            for number in range(things + stuff)
        )
    )


def table_of_stages(stages: "Sequence[Stage]") -> "Table":
    """Return a table of stages, in the order in which they run."""
    from rich.text import Text

    rich_table = table("branch", "stage", "output", ">parameters", ">mult-adds", ">regions")
    for stage in stages:
        rich_table.add_row(
            stage.branch,
            stage.name,
            Text("\n".join(map(_shape, stage.outputs))),
            _number(stage.parameters),
            _number(stage.multiply_adds),
            NONE if stage.regions is None else str(stage.regions),
        )
    return rich_table


def table_of_branches(stages: "Sequence[Stage]") -> "Table":
    """Return a table with the sums of each branch."""
    rich_table = table("branch", ">parameters", ">mult-adds/image")
    branches = dict.fromkeys(stage.branch for stage in stages)
    groups = {name: [stage for stage in stages if stage.branch == name] for name in branches}
    for name, group in {**groups, "all": stages}.items():
        rich_table.add_row(
            name,
            _number(sum(stage.parameters for stage in group)),
            _number(sum(stage.multiply_adds_of_image for stage in group)),
        )
    return rich_table


def _shape(shape: "Shape") -> str:
    return "x".join(map(str, shape))


def _number(value: int) -> str:
    for unit, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= unit:
            return f"{value / unit:.2f} {letter}"
    return str(value)


def describe(
    network: Annotated[str, Parameter(name="CONFIG|MODEL")],
    /,
    *,
    things: int | None = None,
    stuff: int | None = None,
    overrides: Overrides = (),
) -> None:
    """List the stages of a network: shapes, parameters and multiply-adds.

    Shapes omit the batch dimension. Multiply-adds count convolutions and matrix
    products. Nothing is computed, so even a large network takes a moment.

    The settings of CONFIG are options too, such as --size 512 1024.

    For example
        jsisnet describe lite.yaml
        jsisnet describe lite.yaml --things 37 --stuff 28
        jsisnet describe coco

    Args:
        network: YAML file of a training, built-in model (coco, street), or folder of a model or
            training run.
        things: Number of thing classes. Default: that of the model or of CONFIG's annotations, or
            that of COCO or Vistas if these are missing.
        stuff: Number of stuff classes. Default: that of the model or of CONFIG's annotations, or
            that of COCO or Vistas if these are missing.
        overrides: Settings that override those of CONFIG.
    """
    from jsisnet.model.costs import stages

    architecture = read_architecture(network, overrides, things=things, stuff=stuff)
    listed = stages(architecture.network, architecture.categories, architecture.size)
    height, width = architecture.size
    display(
        f"{network}, input {height} x {width}", table_of_stages(listed), table_of_branches(listed)
    )
    counts = (len(architecture.categories.thing_labels), len(architecture.categories.stuff_labels))
    display(f"classes: {counts[0]} things and {counts[1]} stuff, from {architecture.source}")
