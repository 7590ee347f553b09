"""Generated scenes with exact ground truth, for tests and first trainings.

May import `formats` and what lies below it.
Start with `write_scenes`; `layout` composes a scene, `shapes` and `textures` paint it.
"""

from jsisnet.lazy import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, __file__)
