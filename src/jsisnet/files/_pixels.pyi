from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

def filter(pixels: Array, raw: Array, width: int, /) -> None: ...
def unfilter(raw: bytes, pixels: Array, width: int, channels: int, /) -> None: ...
def count_pairs(
    first: Array, second: Array, firsts: Array, seconds: Array, table: Array, /
) -> None: ...
def count_png_pairs(
    first: bytes,
    first_channels: int,
    second: bytes,
    second_channels: int,
    last: Array,
    firsts: Array,
    seconds: Array,
    table: Array,
    /,
) -> None: ...
def renumber(
    ids: Array, known: Array, numbers: Array, renumbered: Array, areas: Array, /
) -> int: ...
def blend(
    image: Array,
    ids: Array,
    level: Array,
    factors: Array,
    summands: Array,
    levels: int,
    picture: Array,
    /,
) -> None: ...
