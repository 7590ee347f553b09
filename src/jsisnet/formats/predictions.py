"""Predictions of other networks: folders of semantic maps, and arrays of instances."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np

from jsisnet.arrays import Float32, Float64, Int32, Int64, Integer
from jsisnet.categories import Categories
from jsisnet.files.npz import open_arrays
from jsisnet.files.png import read_values
from jsisnet.formats.class_maps import USUAL_VOID
from jsisnet.formats.image_list import ListedImage
from jsisnet.panoptic import IGNORE, void_label

PngValues = Literal["ids", "labels"]
"""Meaning of PNG values: category ids, or positions in the list of categories."""

ArrayValues = Literal["logits", "probabilities"]
"""Meaning of array values."""

Scores = Float32[np.ndarray, "k gh gw"]
"""Logits or log-probabilities of each label, on a grid that spans the photo."""

Labels = Int32[np.ndarray, "h w"]
"""Label of each pixel of the photo, or the `void_label` of the classes."""

LOGITS = "logits"
"""Array of the scores in a file that holds others too, such as those of the instances."""

_SUFFIXES = (".png", ".npz", ".npy")
_AXES = 3
"""Axes of an array: labels, rows and columns."""

_SHOWN = 4
"""Names of arrays in a message."""

_NAMES = ("boxes", "category_ids", "scores", "masks")
_CORNERS, _GRIDS = 4, 3


@dataclass(frozen=True, kw_only=True, slots=True)
class SemanticFolder:
    """A folder of semantic predictions, one file for each photo, with the same name."""

    folder: Path

    categories: Categories
    """Classes of the predictions; arrays have one channel for each, in this order."""

    png_values: PngValues = "ids"

    array_values: ArrayValues = "logits"

    void: tuple[int, ...] | None = None
    """PNG values without a class. Default: 255, and for ids also 0, unless they are classes."""

    def file(self, image: ListedImage) -> Path:
        """Return the file of the prediction for an image.

        Raises:
            ValueError: If there is none or more than one.
        """
        stem = self.folder / Path(image.name).with_suffix("")
        candidates = [stem.with_name(stem.name + suffix) for suffix in _SUFFIXES]
        found = [path for path in candidates if path.is_file()]
        match found:
            case [path]:
                return path
            case []:
                raise ValueError(f"{candidates[0]}: does not exist, nor does an .npz or .npy file")
        raise ValueError(f"{found[0]} and {found[1].name} are both for {image.name}; expected one")

    def read(self, image: ListedImage) -> Scores | Labels:
        """Read the prediction for an image.

        Raises:
            ValueError: If the file is missing or damaged, does not fit the image or the classes,
                or contains NaN. The message names the file.
        """
        path = self.file(image)
        try:
            if path.suffix == ".png":
                return self._labels(read_values(path), image)
            return self._scores(path)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def _labels(self, pixels: Integer[np.ndarray, "h w ..."], image: ListedImage) -> Labels:
        if pixels.shape[2:]:
            raise ValueError("a colour PNG; expected grey or palette")
        if pixels.shape != image.size:
            found, listed = ("x".join(map(str, size)) for size in (pixels.shape, image.size))
            raise ValueError(f"{found} pixels, but the photo is {listed}")
        highest = int(pixels.max())
        table = np.full(highest + 1, -1, np.int32)
        for value, label in self._known().items():
            if value <= highest:
                table[value] = label
        labels = table[pixels]
        if labels.min() < 0:
            unknown = int(pixels[labels < 0][0])
            kind = "category id" if self.png_values == "ids" else "position of a category"
            raise ValueError(f"contains {unknown}, which is neither a {kind} nor void")
        return labels

    def _known(self) -> dict[int, int]:
        """Return the label of each pixel value."""
        known = {
            value: label
            for label, category in enumerate(self.categories)
            for value in [category.id if self.png_values == "ids" else label]
            if isinstance(value, int) and value >= 0
        }
        void = void_label(len(self.categories))
        if self.void is not None:
            return known | dict.fromkeys(self.void, void)
        usual = USUAL_VOID if self.png_values == "ids" else (IGNORE,)
        return dict.fromkeys(usual, void) | known

    def _scores(self, path: Path) -> Scores:
        with open_arrays(path) as arrays:
            found = list(arrays.members)
            if len(found) != 1 and LOGITS not in found:
                names = ", ".join(map(repr, found[:_SHOWN])) or "none"
                raise ValueError(
                    f"contains {len(found)} arrays ({names}); expected one, or one named {LOGITS!r}"
                )
            [values] = arrays.read([LOGITS if LOGITS in found else found[0]])
        number = len(self.categories)
        if values.ndim != _AXES or 0 in values.shape:
            raise ValueError(
                f"contains an array of shape {values.shape}; expected ({number}, rows, columns)"
            )
        if len(values) != number:
            raise ValueError(
                f"contains {len(values)} channels; expected one for each of {number} categories"
            )
        _check_finite(values, "the array")
        values = values.astype(np.float32, copy=False)
        if self.array_values == "logits":
            return values
        if values.min() < 0:
            raise ValueError(f"contains {values.min():g}; expected probabilities")
        # Log-probabilities differ from logits by a constant for each cell, which changes neither
        # the best class nor a softmax.
        return np.log(np.maximum(values, np.finfo(np.float32).tiny))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BoxMasks:
    """Detected things of one image, in the order of the file."""

    boxes: Float32[np.ndarray, "n 4"]
    """Corners x0, y0, x1, y1 in pixels of the photo."""

    labels: Int64[np.ndarray, " n"]

    scores: Float64[np.ndarray, " n"]

    masks: Float32[np.ndarray, "n m m"]
    """Probabilities of the mask on a grid that spans the box."""


def read_box_masks(path: Path, categories: Categories) -> BoxMasks:
    """Read the arrays ``boxes``, ``category_ids``, ``scores`` and ``masks``.

    Args:
        path: The file.
        categories: Classes of the things.

    Raises:
        ValueError: If the file or an array is missing, an array has a wrong shape or values that
            are not finite, or a category is not a thing. The message names the file.
    """
    try:
        with open_arrays(path) as arrays:
            found = dict(zip(_NAMES, arrays.read(_NAMES), strict=True))
        for name in ("boxes", "scores", "masks"):
            _check_finite(found[name], name)
        _check_shapes(*(found[name].shape for name in _NAMES))
        return BoxMasks(
            boxes=found["boxes"].astype(np.float32, copy=False),
            labels=np.array(
                [_label(number, categories) for number in found["category_ids"].tolist()], np.int64
            ),
            scores=found["scores"].astype(np.float64, copy=False),
            masks=found["masks"].astype(np.float32, copy=False),
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _check_shapes(
    boxes: tuple[int, ...],
    category_ids: tuple[int, ...],
    scores: tuple[int, ...],
    masks: tuple[int, ...],
) -> None:
    number = boxes[0] if boxes else 0
    if boxes != (number, _CORNERS):
        raise ValueError(f"boxes has the shape {boxes}; expected a row of 4 for each instance")
    for name, shape in (("category_ids", category_ids), ("scores", scores)):
        if shape != (number,):
            raise ValueError(
                f"{name} has the shape {shape}; expected ({number},), one for each box"
            )
    if len(masks) != _GRIDS or masks[0] != number or masks[1] != masks[2] or not masks[1]:
        raise ValueError(
            f"masks has the shape {masks}; expected ({number}, m, m), a square grid for each box"
        )


def _label(category_id: object, categories: Categories) -> int:
    isid = isinstance(category_id, int | str) and not isinstance(category_id, bool)
    if not isid or category_id not in categories:
        expected = f"one of the {len(categories)} categories"
        raise ValueError(f"category_ids contains {category_id!r:.60}; expected {expected}")
    label = categories.label(cast(int | str, category_id))
    if not categories[label].isthing:
        name = categories[label].name
        raise ValueError(f"category_ids contains {category_id!r} ({name!r}), which is stuff")
    return label


def _check_finite(values: np.ndarray, name: str) -> None:
    """Check that an array consists of finite numbers.

    Args:
        values: The array.
        name: Its name, for the message.

    Raises:
        ValueError: If it has another type, NaN or infinity.
    """
    if values.dtype.kind not in "fiu":
        raise ValueError(f"{name} has the type {values.dtype}; expected numbers")
    # Both are NaN if any value is, and no array of the same size is needed.
    if values.size and not np.isfinite([values.min(), values.max()]).all():
        raise ValueError(f"{name} contains NaN or infinity")
