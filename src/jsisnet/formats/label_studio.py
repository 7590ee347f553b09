"""Label Studio's tasks with predictions: masks as brush strokes, in its run-length code."""

import numpy as np

from jsisnet.arrays import Bool, Int64
from jsisnet.categories import Categories
from jsisnet.formats.regions import Region, regions, run_lengths
from jsisnet.panoptic import PanopticMap

BRUSH, IMAGE = "tag", "image"
"""Names of the tags ``BrushLabels`` and ``Image`` in Label Studio's template for masks."""

_MODEL_VERSION = "jsisnet"

_LENGTH_BITS = (3, 4, 8, 16)
"""Bits of the lengths that a run may have."""

_VALUE_BITS, _CHANNELS, _SET = 8, 4, 255
"""The code is that of an RGBA picture, whose four channels are 0 or 255."""


def task(
    panoptic: PanopticMap, categories: Categories, image: str, *, brush: str = BRUSH
) -> dict[str, object]:
    """Return a task with one prediction, which `Label Studio` imports in a list of tasks.

    Args:
        panoptic: The map.
        categories: Its classes, whose names must be labels of the project.
        image: URL of the photo as Label Studio reaches it, such as
            ``/data/local-files/?d=photos/a.jpg``. Its EXIF orientation must be applied already.
        brush: Name of the tag ``BrushLabels`` in the project's labelling interface.
    """
    found = list(regions(panoptic, categories))
    prediction: dict[str, object] = {
        "model_version": _MODEL_VERSION,
        "result": [_result(region, panoptic.size, brush) for region in found],
    }
    scores = [region.score for region in found if region.score is not None]
    if scores:
        prediction["score"] = float(np.mean(scores))
    return {"data": {IMAGE: image}, "predictions": [prediction]}


def encode(mask: Bool[np.ndarray, "h w"]) -> list[int]:
    """Return a mask in Label Studio's run-length code.

    A code of 53 bits with the number of values and the sizes of all fields precedes the runs. A run
    is a set bit, two bits that choose the size of its length, its length less one, and its value.

    Reference:
        Schmidt, "rle-pack" in the libraries "umbrella"; `decode` in its ``index.ts``.
    """
    lengths = _CHANNELS * run_lengths(mask)
    values = np.arange(len(lengths)) % 2 * _SET
    lengths, values = _split(lengths, values, 1 << _LENGTH_BITS[-1])
    choices = np.searchsorted([1 << bits for bits in _LENGTH_BITS], lengths)
    sizes = np.array(_LENGTH_BITS)[choices]
    words = (0b100 | choices) << sizes | lengths - 1
    words = words << _VALUE_BITS | values
    header = _CHANNELS * mask.size
    for value, bits in ((_VALUE_BITS - 1, 5), *((size - 1, 4) for size in _LENGTH_BITS)):
        header = header << bits | value
    all_words = np.concatenate([[header], words])
    all_bits = np.concatenate([[32 + 5 + 4 * len(_LENGTH_BITS)], 3 + sizes + _VALUE_BITS])
    return np.packbits(_bits(all_words, all_bits)).tolist()


def _result(region: Region, size: tuple[int, int], brush: str) -> dict[str, object]:
    height, width = size
    mask = np.zeros(size, bool)
    x, y = region.corner
    rows, columns = region.mask.shape
    mask[y : y + rows, x : x + columns] = region.mask
    result: dict[str, object] = {
        "id": f"segment{region.id}",
        "type": "brushlabels",
        "from_name": brush,
        "to_name": IMAGE,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {"format": "rle", "rle": encode(mask), "brushlabels": [region.category.name]},
    }
    if region.score is not None:
        result["score"] = float(region.score)
    return result


def _split(
    lengths: Int64[np.ndarray, " n"], values: Int64[np.ndarray, " n"], longest: int
) -> tuple[Int64[np.ndarray, " m"], Int64[np.ndarray, " m"]]:
    """Split runs into pieces that are not longer than `longest`, and drop empty ones."""
    pieces = -(-lengths // longest)
    split = np.full(pieces.sum(), longest, np.int64)
    kept = pieces > 0
    last = np.cumsum(pieces)[kept] - 1
    split[last] = (lengths - (pieces - 1) * longest)[kept]
    return split, np.repeat(values, pieces)


def _bits(
    words: Int64[np.ndarray, " n"], sizes: Int64[np.ndarray, " n"]
) -> Int64[np.ndarray, " bits"]:
    """Return the bits of words of different sizes, most significant first."""
    ends = np.repeat(np.cumsum(sizes), sizes)
    return np.repeat(words, sizes) >> (ends - 1 - np.arange(len(ends))) & 1
