"""Command that lists a network's stages."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.table import Table

from jsisnet.categories import Categories, Category
from jsisnet.cli.console import display
from jsisnet.cli.options import Overrides
from jsisnet.cli.tables import NONE, table
from jsisnet.data.dataset import DataConfig, common_categories
from jsisnet.inference import saved_model
from jsisnet.model.costs import Shape, Stage
from jsisnet.model.network import NetworkConfig
from jsisnet.panoptic import IGNORE
from jsisnet.settings import from_dict
from jsisnet.training.config import RunConfig, read_values

COCO, MERGED_COCO = (80, 53), (12, 15)
"""Numbers of thing and stuff classes of COCO, as they are and merged by supercategory."""

_NOWHERE = {"images": ".", "annotations": "."}
"""Data of a configuration that leaves them to others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sketch:
    """A network without weights."""

    network: NetworkConfig
    size: tuple[int, int]
    """Height and width of its input."""

    categories: Categories
    """As many classes as it has; their names mean nothing."""

    source: str
    """Where the number of classes comes from."""


def sketch(
    name: str, overrides: tuple[str, ...], *, things: int | None, stuff: int | None
) -> Sketch:
    """Read what decides the shape of a network.

    Args:
        name: YAML file of a training, name of an embedded model, or a model or run folder.
        overrides: Settings that win over those of the file.
        things: Number of thing classes, if it is not that of the data.
        stuff: Number of stuff classes, likewise.

    Raises:
        ValueError: If there is no such file or model, or it breaks a rule.
    """
    path = Path(name)
    if path.suffix.lower() in (".yaml", ".yml"):
        values = {"data": _NOWHERE} | read_values(path)
        config = from_dict(RunConfig, values, overrides, source=name)
        network, size = config.network, config.augment.size
        counts, source = _classes(config.sources())
    else:
        model = saved_model.read(name)
        network, size = model.config.network, model.config.size
        counts, source = _counts(model.categories), "the model"
    if things is not None or stuff is not None:
        source = "the options"
    chosen = (counts[0] if things is None else things, counts[1] if stuff is None else stuff)
    return Sketch(network=network, size=size, categories=_invented(*chosen), source=source)


def _classes(sources: Sequence[DataConfig]) -> tuple[tuple[int, int], str]:
    used = [data for data in sources if data.weight > 0]
    if not all(map(_is_here, used)):
        counts = COCO if sources[0].merge is None else MERGED_COCO
        return counts, "COCO, as the annotations are not here"
    return _counts(common_categories(sources)), ", ".join(str(data.path) for data in used)


def _is_here(data: DataConfig) -> bool:
    return data.path.is_file() if data.kind.startswith("coco") else data.path.exists()


def _counts(categories: Categories) -> tuple[int, int]:
    return len(categories.thing_labels), len(categories.stuff_labels)


def _invented(things: int, stuff: int) -> Categories:
    if things < 0 or stuff < 0:
        raise ValueError(f"{things} things and {stuff} stuff classes; expected 0 or more")
    if things + stuff > IGNORE:
        raise ValueError(f"{things + stuff} classes; expected at most {IGNORE}")
    return Categories(
        tuple(
            Category(id=number, name=str(number), isthing=number < things)
            for number in range(things + stuff)
        )
    )


def table_of_stages(stages: Sequence[Stage]) -> Table:
    """List stages in the order in which they run."""
    made = table("branch", "stage", "output", ">parameters", ">mult-adds", ">regions")
    for stage in stages:
        made.add_row(
            stage.branch,
            stage.name,
            "\n".join(map(_shape, stage.outputs)),
            _number(stage.parameters),
            _number(stage.multiply_adds),
            NONE if stage.regions is None else str(stage.regions),
        )
    return made


def table_of_branches(stages: Sequence[Stage]) -> Table:
    """Add up the stages of each branch."""
    made = table("branch", ">parameters", ">mult-adds of an image")
    branches = dict.fromkeys(stage.branch for stage in stages)
    groups = {name: [stage for stage in stages if stage.branch == name] for name in branches}
    for name, group in {**groups, "all": stages}.items():
        made.add_row(
            name,
            _number(sum(stage.parameters for stage in group)),
            _number(sum(stage.multiply_adds_of_image for stage in group)),
        )
    return made


def _shape(shape: Shape) -> str:
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
    """List a network's stages: shapes, parameters and multiply-adds.

    Shapes leave out the number of images or regions. Multiply-adds are those of
    convolutions and matrix products. Nothing is computed, so that any network is
    described at once.

    The settings of CONFIG are options too, such as --augment.size 512 1024.

    For example
        jsisnet describe lite.yaml
        jsisnet describe lite.yaml --things 37 --stuff 28
        jsisnet describe coco

    Args:
        network: YAML file of a training, name of an embedded model, or a model or run folder.
        things: Number of thing classes. Default: those of the model or of the annotations of
            CONFIG, and where these are not there, those of COCO.
        stuff: Number of stuff classes. Default: likewise.
        overrides: Settings that win over those of CONFIG.
    """
    pass
    from jsisnet.model.costs import stages

    drawn = sketch(network, overrides, things=things, stuff=stuff)
    found = stages(drawn.network, drawn.categories, drawn.size)
    height, width = drawn.size
    display(
        f"{network}, input {height} x {width}", table_of_stages(found), table_of_branches(found)
    )
    counts = (len(drawn.categories.thing_labels), len(drawn.categories.stuff_labels))
    display(f"classes: {counts[0]} things and {counts[1]} stuff, from {drawn.source}")
