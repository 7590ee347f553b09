"""The anchors of a network beside the things of a data set, for `jsisnet data stats`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jsisnet.cli.console import display, progress
from jsisnet.cli.tables import NONE, table
from jsisnet.formats.records import Source

if TYPE_CHECKING:
    from jsisnet.cli.describe import Architecture

_FIGURES = ("recall", "iou")


def read_network(name: str) -> "Architecture":
    """Read the configuration of a network.

    Args:
        name: YAML file of a training, built-in model, or folder of a model or training run.

    Raises:
        ValueError: If there is no such network.
    """
    from jsisnet.cli.describe import read_architecture

    return read_architecture(name, (), things=None, stuff=None)


def measure_anchors(network: "Architecture", source: Source, processes: int) -> dict[str, Any]:
    """Measure what a network's anchors reach in a data set, and what fitted ones would.

    Args:
        network: The network.
        source: The data set.
        processes: Number of worker processes.

    Raises:
        ValueError: If a map is damaged.
    """
    from jsisnet.evaluation.anchors import fit, read_true_boxes, recall
    from jsisnet.training.fitted_anchors import anchors_of

    size, anchors = network.size, anchors_of(network.network)
    with progress("boxes") as advance:
        true = read_true_boxes(source.records, processes=processes, on_image=advance)
    found = {"given": anchors}
    if len(true):
        found["fitted"] = fit(true.resized(size), anchors, size)
    return {
        "input": list(size),
        "strides": list(anchors.strides),
        **{
            kind: {
                "sizes": list(each.sizes),
                "ratios": list(each.ratios),
                "reached": recall(true, each, size),
            }
            for kind, each in found.items()
        },
    }


def display_anchors(summary: Mapping[str, Any]) -> None:
    """Print what the anchors reach, and the fitted ones as YAML."""
    height, width = summary["input"]
    strides = ", ".join(map(str, summary["strides"]))
    given, fitted = summary["given"], summary.get("fitted", {})
    figures = (">reached %", ">mean IoU", ">fitted: reached %", ">mean IoU")
    rich_table = table(f"anchors of {summary['network']}", ">things", *figures)
    for group, row in given["reached"].items():
        after = fitted["reached"][group] if fitted else {}
        cells = [_number(each.get(name)) for each in (row, after) for name in _FIGURES]
        rich_table.add_row(group, f"{row['things']:,}", *cells)
    display(
        "", rich_table, f"input: {height}x{width}; stride: {strides}; reached: IoU of 0.5 or more"
    )
    if fitted:
        display("", "network:", "  anchors:")
        display(*(f"    {name}: {_listed(fitted[name])}" for name in ("sizes", "ratios")))


def _listed(values: Sequence[float]) -> str:
    return f"[{', '.join(f'{value:g}' for value in values)}]"


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.1f}"
