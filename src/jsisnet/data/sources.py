"""Several data sets used as one for training, in their common classes."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np

from jsisnet.arrays import Int64
from jsisnet.categories import Categories
from jsisnet.data.balance import Repeats, repeat_factors
from jsisnet.datatools.statistics import MapContents, read_map_contents
from jsisnet.files.processes import available_cores
from jsisnet.formats.dataset import DataConfig, PanopticDataset, Sample


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Length and weight of one of several concatenated data sets."""

    length: int
    """Number of photos."""

    weight: float = 1.0
    """How often a photo is seen, relative to the photos of parts with weight 1."""

    repeats: Repeats | None = None
    """How often each photo is seen in one pass; ``None`` for once."""

    @property
    def share(self) -> int:
        """Number of its turns in a round of the stream."""
        photos = self.length if self.repeats is None else self.repeats.total
        return max(1, round(self.weight * photos))


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
        self.parts = tuple(map(_part, self.datasets))
        self._ends = list(accumulate(part.length for part in self.parts))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Sample:
        """Read a photo; see `PanopticDataset`."""
        number = bisect_right(self._ends, index)
        return self.datasets[number][index - self._ends[number] + self.parts[number].length]

    def class_pixels(self) -> Int64[np.ndarray, " k"]:
        """Count the pixels of each class, in the data sets that train the semantic branch.

        Raises:
            ValueError: If a map is damaged.
        """
        pixels = np.zeros(len(self.categories), np.int64)
        for dataset in self.datasets:
            for contents, labels in _contents(dataset) if dataset.trains_semantic else ():
                np.add.at(pixels, labels, contents.areas)
        return pixels


def _part(dataset: PanopticDataset) -> Part:
    config, repeats = dataset.config, None
    if config.repeat_threshold:
        present = np.zeros((len(dataset), len(dataset.categories)), bool)
        for row, (_, labels) in zip(present, _contents(dataset), strict=True):
            row[labels] = True
        repeats = Repeats(repeat_factors(present, config.repeat_threshold))
    return Part(length=len(dataset), weight=config.weight, repeats=repeats)


def _contents(dataset: PanopticDataset) -> Iterator[tuple[MapContents, Int64[np.ndarray, " n"]]]:
    """Read the maps, and yield their segments with the labels of these."""
    labels = np.array(dataset.labels, np.int64)
    for contents in read_map_contents(dataset.records, processes=available_cores()):
        yield contents, labels[contents.labels]


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
