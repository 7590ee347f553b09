"""Pictures of panoptic maps, and the HTML reports.

May import `evaluation`, `datatools`, `formats` and what lies below them, and no torch.
Begin with `draw`; `palette` chooses the colours.
"""

from jsisnet.lazy import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, __file__)
