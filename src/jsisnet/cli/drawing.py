"""Options of how maps are drawn on photos."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter, validators

from jsisnet.cli.options import Flag, listed
from jsisnet.visualize.overlay import Style

_DEFAULT = Style()


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class DrawingOptions:
    """Options of how maps are drawn on photos."""

    opacity: Annotated[float, Parameter(metavar="X", validator=validators.Number(gte=0, lte=1))] = (
        _DEFAULT.opacity
    )
    """Opacity of the colours, 0 to 1; stuff is a little fainter than things."""

    names: bool = True
    """Whether to write class names on the segments."""

    only: Annotated[tuple[str, ...] | None, Parameter(metavar="NAMES", negative=())] = None
    """Classes to draw, separated by commas; the rest of the photo stays as it is. Default: all."""

    legend: Flag = False
    """Add a strip below the photo that explains the colours of segments without a name."""

    def style(self) -> Style:
        """Return the style that the options describe."""
        return Style(
            opacity=self.opacity,
            names=self.names,
            legend=self.legend,
            only=None if self.only is None else tuple(listed(self.only)),
        )
