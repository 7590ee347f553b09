"""Command that draws the figures of trainings."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from jsisnet.cli.console import display
from jsisnet.cli.options import File


def plot(
    *runs: Annotated[Path, Parameter(name="RUN")],
    out: File = Path("plot.png"),
) -> None:
    """Draw losses, quality and pace of trainings over their steps.

    Several runs lie over each other, each in a colour of its own. A training that
    still goes on is drawn as far as it is.

    For example
        jsisnet plot runs/overfit
        jsisnet plot runs/* --out comparison.png

    Args:
        runs: Run folders of `jsisnet train`.
        out: Picture to write, .png.
    """
    from jsisnet.training.curves import plot as figure_of
    from jsisnet.training.curves import write

    if not runs:
        raise ValueError("no RUN was given; expected a run folder at least")
    write(figure_of(runs), out)
    display(f"look at {out}")
