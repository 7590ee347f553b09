"""Panoptic segmentation with one network: a class and an instance id for every pixel.

The names below, listed in ``__init__.pyi``, are imported when they are first used.
"""

import signal as _signal
import sys as _sys

_is_command = _sys.argv[:1] == ["-m"] or _sys.argv[0].endswith(("/jsisnet", "jsisnet.exe"))
if _is_command and _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    # The command line takes its time to import. There is nothing to clean up before a command runs,
    # so a signal ends the process at once; an exception would print a traceback.
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

from jsisnet.lazy import attach as _attach  # noqa: E402 - signals come first

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = _attach(__name__, __file__)
