"""Array types with shapes, for annotations: jaxtyping's names, without the cost of importing it.

Type checkers, and programs that have imported jaxtyping (the tests check every shape with it), see
jaxtyping's own types. Elsewhere ``Float[np.ndarray, "h w"]`` is just ``np.ndarray``.
"""

import sys
from typing import TYPE_CHECKING

__all__ = [
    "Bool",
    "Float",
    "Float32",
    "Float64",
    "Int",
    "Int32",
    "Int64",
    "Integer",
    "Shaped",
    "UInt8",
    "UInt32",
]

if TYPE_CHECKING or "jaxtyping" in sys.modules:
    from jaxtyping import (
        Bool,
        Float,
        Float32,
        Float64,
        Int,
        Int32,
        Int64,
        Integer,
        Shaped,
        UInt8,
        UInt32,
    )
else:

    class _Shapeless:
        """Stand-in for one of jaxtyping's types: subscription drops the shape."""

        def __class_getitem__(cls, item: tuple[type, str]) -> type:
            return item[0]

    Bool = Float = Float32 = Float64 = Int = Int32 = Int64 = Integer = _Shapeless
    Shaped = UInt8 = UInt32 = _Shapeless
