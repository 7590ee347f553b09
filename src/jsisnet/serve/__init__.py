"""A server of panoptic segmentation: REST, a page, and processes that run the networks.

May import `inference`, `visualize` and what lies below them; needs the extra `serve`.
Begin with `create_app`; `jsisnet serve` runs it.
"""

from jsisnet.lazy import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, __file__)
