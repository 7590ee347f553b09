"""`jsisnet plot`: plot the curves of training runs."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from jsisnet.cli.console import display
from jsisnet.cli.options import File


def plot(
    *runs: Annotated[Path, Parameter(name="RUN")],
    out: File = Path("plot.png"),
) -> None:
    """Plot losses, quality and speed of training runs.

    Several runs share the axes, each in its own colour. A run that is still
    training is plotted up to its last step.

    For example
        jsisnet plot runs/overfit
        jsisnet plot runs/* --out comparison.png

    Args:
        runs: Run folders of `jsisnet train`.
        out: Image to write, .png.
    """
    from jsisnet.training.curves import plot as plot_runs
    from jsisnet.training.curves import write

    if not runs:
        raise ValueError("give at least one run folder")
    write(plot_runs(runs), out)
    display(f"Wrote {out}")
