"""Maps of files, read as their JSON files list them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jsisnet.evaluation.overlap import Overlap, refuse_sizes
from jsisnet.files.png import Ids, IdStrips, open_ids
from jsisnet.formats.coco_index import ListedMap
from jsisnet.panoptic import VOID


def opened_maps(
    truth: ListedMap, other: ListedMap | None, true_place: str, place: str
) -> tuple[IdStrips, IdStrips]:
    """Begin to read two maps.

    Args:
        truth: What the truth lists.
        other: What the predictions list; ``None`` for a map that is void.
        true_place: Put in front of errors of the true map, also of those on the way.
        place: Likewise for the predicted one.

    Raises:
        ValueError: If a map can't be read, or they differ in size.
    """
    first = _opened_map(truth.png, true_place)
    if other is None:
        empty = (np.zeros_like(strip) for strip in _opened_map(truth.png, true_place).strips)
        return first, IdStrips(first.size, empty)
    second = _opened_map(other.png, place)
    try:
        refuse_sizes(first.size, second.size)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    return first, second


def _opened_map(png: Path, place: str) -> IdStrips:
    def strips(opened: IdStrips) -> Iterator[Ids]:
        try:
            yield from opened.strips
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None

    try:
        opened = open_ids(png)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    return IdStrips(opened.size, strips(opened))


def check_prediction(shared: Overlap, listed: ListedMap, place: str) -> None:
    """Refuse predictions that the official script refuses.

    Args:
        shared: Pixels that they share with the truth.
        listed: What they list.
        place: Put in front of errors.

    Raises:
        ValueError: If a pixel has an id that is not listed, or a listed one has no pixel.
    """
    if shared.table[:, -1].any():
        raise ValueError(
            f"{place}: segment {first_unlisted(listed)}: is in the PNG, but not in the JSON file"
        )
    empty = listed.ids[shared.areas == 0]
    if len(empty):
        raise ValueError(f"{place}: segment {empty[0]}: is listed, but owns no pixel")


def first_unlisted(listed: ListedMap) -> int:
    """Give the first id of a map that is not listed; there has to be one."""
    known = np.append(listed.ids, VOID)
    strange = (strip[~np.isin(strip, known)] for strip in open_ids(listed.png).strips)
    return int(next(values[0] for values in strange if len(values)))


def nothing() -> ListedMap:
    """Give the list of a map that is void."""
    whole, real = np.zeros(0, np.int64), np.zeros(0)
    return ListedMap(
        png=Path(), ids=whole, labels=whole, iscrowd=whole > 0, areas=whole, scores=real
    )
