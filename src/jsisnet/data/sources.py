"""Several data sets in common classes."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from jsisnet.categories import Categories
from jsisnet.data.dataset import DataConfig, PanopticDataset, read_categories
from jsisnet.data.sample import Sample


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One of the data sets that lie behind each other."""

    length: int
    """Number of photos."""

    weight: float = 1.0
    """How often a photo is seen, relative to the photos of parts with weight 1."""


class Sources:
    """The photos of one data set after those of the other, in the classes of all of them.

    A class that a data set lacks may still be in its photos, so each sample tells what its ground
    truth is silent about.
    """

    def __init__(self, configs: Sequence[DataConfig]) -> None:
        """Open the data sets, but for those with weight 0.

        Their classes are matched by name, in order of first appearance.

        Raises:
            ValueError: If there is no data set left, one is broken, or the classes of two
                contradict each other. The message names the files.
        """
        opened = [PanopticDataset(config) for config in _used(configs)]
        self.categories = _joined([(dataset.path, dataset.categories) for dataset in opened])
        self.datasets = tuple(dataset.in_classes(self.categories) for dataset in opened)
        self.parts = tuple(
            Part(length=len(dataset), weight=dataset.config.weight) for dataset in self.datasets
        )
        self._ends = list(accumulate(part.length for part in self.parts))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Sample:
        """Read one photo; see `PanopticDataset`."""
        number = bisect_right(self._ends, index)
        return self.datasets[number][index - self._ends[number] + self.parts[number].length]


def common_categories(configs: Sequence[DataConfig]) -> Categories:
    """Read the classes that `Sources` would have, and nothing else of the data.

    Raises:
        ValueError: As for `Sources`.
    """
    used = _used(configs)
    return _joined([(Path(config.annotations), read_categories(config)) for config in used])


def _used(configs: Sequence[DataConfig]) -> list[DataConfig]:
    used = [config for config in configs if config.weight > 0]
    if not used:
        raise ValueError("all data has weight 0; expected at least one with more")
    return used


def _joined(files: Sequence[tuple[Path, Categories]]) -> Categories:
    """Join the classes of files, in their order."""
    joined = Categories(())
    for number, (path, categories) in enumerate(files):
        try:
            joined = joined.joined_with(categories)
        except ValueError as error:
            before = ", ".join(str(path) for path, _ in files[:number])
            raise ValueError(f"{path}: {error} ({before})") from None
    return joined
