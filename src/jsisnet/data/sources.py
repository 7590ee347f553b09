"""Several data sets used as one for training, in their common classes."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from jsisnet.categories import Categories
from jsisnet.formats.dataset import DataConfig, PanopticDataset, Sample


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Length and weight of one of several concatenated data sets."""

    length: int
    """Number of photos."""

    weight: float = 1.0
    """How often a photo is seen, relative to the photos of parts with weight 1."""


class Sources:
    """Several data sets, concatenated and converted to their common classes.

    A class that a data set lacks may still appear in its photos, so each sample states what its
    ground truth does not label.
    """

    def __init__(self, configs: Sequence[DataConfig]) -> None:
        """Open the data sets, except those with weight 0.

        Their classes are matched by name, in order of first appearance.

        Raises:
            ValueError: If no data set is left, one is invalid, or the classes of two contradict
                each other. The message names the files.
        """
        opened = [PanopticDataset(config) for config in _used(configs)]
        self.categories = _join([(dataset.path, dataset.categories) for dataset in opened])
        self.datasets = tuple(dataset.in_classes(self.categories) for dataset in opened)
        self.parts = tuple(
            Part(length=len(dataset), weight=dataset.config.weight) for dataset in self.datasets
        )
        self._ends = list(accumulate(part.length for part in self.parts))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Sample:
        """Read a photo; see `PanopticDataset`."""
        number = bisect_right(self._ends, index)
        return self.datasets[number][index - self._ends[number] + self.parts[number].length]


def common_categories(configs: Sequence[DataConfig]) -> Categories:
    """Read the classes that `Sources` would have, without the maps wherever they suffice.

    Raises:
        ValueError: See `Sources`.
    """
    used = _used(configs)
    return _join([(config.path, config.read_categories()) for config in used])


def _used(configs: Sequence[DataConfig]) -> list[DataConfig]:
    used = [config for config in configs if config.weight > 0]
    if not used:
        raise ValueError("every data set has weight 0; expected at least one above 0")
    return used


def _join(files: Sequence[tuple[Path, Categories]]) -> Categories:
    joined = Categories(())
    for number, (path, categories) in enumerate(files):
        try:
            joined = joined.joined_with(categories)
        except ValueError as error:
            before = ", ".join(str(path) for path, _ in files[:number])
            raise ValueError(f"{path}: {error} ({before})") from None
    return joined
