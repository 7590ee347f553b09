from jsisnet.visualize.overlay import Style, draw, side_by_side
from jsisnet.visualize.palette import segment_colors

__all__ = ["Style", "draw", "segment_colors", "side_by_side"]
