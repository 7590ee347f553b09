"""Tools behind `jsisnet data` and `jsisnet submit`: check, convert, split and describe data sets.

May import `formats` and what lies below it, and no torch.
Start with `check_dataset`; every other tool is one module.
"""

from jsisnet.lazy import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, __file__)
