"""Reading and writing files: photos, PNGs of ids, JSON, archives, journals and locks.

May import the ground modules (`panoptic`, `categories`, `settings`) only.
Begin with `read_image` and `read_ids`; every file is written through `replacing`.
"""

from jsisnet.lazy import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, __file__)
