"""Checks of a data set: JSON file, maps and photos, by the rules in `rules`.

May import `formats` and what lies below it.
Start with `check_dataset`; `image` and `segments` check one image.
"""

from jsisnet.lazy import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, __file__)
