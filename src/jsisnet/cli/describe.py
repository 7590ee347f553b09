"""Command that lists a network's stages."""

from typing import Annotated

from cyclopts import Parameter

from jsisnet.cli.console import display
from jsisnet.cli.options import Overrides


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
    from jsisnet.cli.sketch import sketch, table_of_branches, table_of_stages
    from jsisnet.model.costs import stages

    drawn = sketch(network, overrides, things=things, stuff=stuff)
    found = stages(drawn.network, drawn.categories, drawn.size)
    height, width = drawn.size
    display(
        f"{network}, input {height} x {width}", table_of_stages(found), table_of_branches(found)
    )
    counts = (len(drawn.categories.thing_labels), len(drawn.categories.stuff_labels))
    display(f"classes: {counts[0]} things and {counts[1]} stuff, from {drawn.source}")
