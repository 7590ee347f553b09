"""Semantic predictions in a folder: for each photo a PNG of classes, or an array of scores."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32, Int32, Integer

from jsisnet.categories import Categories
from jsisnet.formats import arrays
from jsisnet.formats.class_values import USUAL_VOID
from jsisnet.formats.image_list import ListedImage
from jsisnet.formats.png_values import read_values
from jsisnet.panoptic import IGNORE

PngValues = Literal["ids", "labels"]
"""Whether the pixels of PNGs are the data set's own ids or positions in its list of categories."""

ArrayValues = Literal["logits", "probabilities"]
"""What arrays hold."""

Scores = Float32[np.ndarray, "k gh gw"]
"""A logit, or a probability's logarithm, of each label on a grid that spans the photo."""

Labels = Int32[np.ndarray, "h w"]
"""Label of each pixel of the photo, or `IGNORE`."""

_SUFFIXES = (".png", ".npz", ".npy")
_AXES = 3
"""Of an array: labels, rows and columns."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SemanticFolder:
    """Semantic predictions, named like the photos."""

    folder: Path

    categories: Categories
    """Classes of the predictions; arrays have a channel for each, in this order."""

    png_values: PngValues = "ids"

    array_values: ArrayValues = "logits"

    void: tuple[int, ...] | None = None
    """Values of PNGs that stand for no class; by default 255, and 0 if they are ids, unless a class
    has that number."""

    def file(self, image: ListedImage) -> Path:
        """Find the prediction for an image.

        Raises:
            ValueError: If there is none, or more than one.
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
                or holds NaN. The message names it.
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
            raise ValueError(
                "is a PNG in colour, expected grey or palette, a number for each pixel"
            )
        if pixels.shape != image.size:
            found, listed = ("x".join(map(str, size)) for size in (pixels.shape, image.size))
            raise ValueError(f"is {found} pixels, but the photo is {listed}")
        highest = int(pixels.max())
        table = np.full(highest + 1, -1, np.int32)
        for value, label in self._known().items():
            if value <= highest:
                table[value] = label
        labels = table[pixels]
        if labels.min() < 0:
            strange = int(pixels[labels < 0][0])
            kind = "category id" if self.png_values == "ids" else "position of a category"
            raise ValueError(f"holds {strange}, which is no {kind} and does not stand for void")
        return labels

    def _known(self) -> dict[int, int]:
        """Give the labels that the values of pixels stand for."""
        known = {
            value: label
            for label, category in enumerate(self.categories)
            for value in [category.id if self.png_values == "ids" else label]
            if isinstance(value, int) and value >= 0
        }
        if self.void is not None:
            return known | dict.fromkeys(self.void, IGNORE)
        usual = USUAL_VOID if self.png_values == "ids" else (IGNORE,)
        return dict.fromkeys(usual, IGNORE) | known

    def _scores(self, path: Path) -> Scores:
        found = arrays.load(path)
        if len(found) != 1:
            names = ", ".join(map(repr, found)) or "none"
            raise ValueError(f"holds {len(found)} arrays ({names}), expected one")
        (values,) = found.values()
        number = len(self.categories)
        if values.ndim != _AXES or 0 in values.shape:
            raise ValueError(
                f"holds an array of the shape {values.shape}, expected ({number}, rows, columns)"
            )
        if len(values) != number:
            raise ValueError(
                f"holds {len(values)} channels, expected one for each of the {number} categories"
            )
        arrays.finite(values, "the array")
        values = values.astype(np.float32)
        if self.array_values == "logits":
            return values
        if values.min() < 0:
            raise ValueError(f"holds {values.min():g}, expected probabilities")
        # Logarithms of probabilities differ from logits by one number for each cell, which matters
        # neither to the best class nor to a softmax.
        return np.log(np.maximum(values, np.finfo(np.float32).tiny))
