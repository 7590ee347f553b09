"""Comparison of two results on the same images, with bootstrap confidence intervals."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from jsisnet.arrays import Bool, Float64, Int64
from jsisnet.evaluation.panoptic_quality import class_means
from jsisnet.evaluation.results import Result, read_result
from jsisnet.panoptic import ImageId

GROUPS = ("all", "things", "stuff")
"""Groups of classes, which precede the single classes."""

LEVEL = 0.95
"""Confidence level of the intervals."""

MIN_IMAGES = 6
"""Fewest images of a class for an interval. With fewer, differences that are as often positive as
negative have one sign in more than 5 % of cases, and the interval would exclude 0."""

_QUALITIES = ("pq", "sq", "rq")

_OFFICIAL = ("official", "strict")
"""Modes that give the same numbers."""

_CHUNK = 2**20
"""Approximate number of elements of each array that a chunk of bootstrap samples needs."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure of two results, A and B; values from 0 to 1, NaN if missing."""

    a: float
    b: float
    low: float
    """Lower end of the confidence interval of b - a; NaN with fewer than `MIN_IMAGES` images."""
    high: float
    """Upper end of the interval."""
    better: float
    """Fraction of the bootstrap samples in which B is higher."""

    @property
    def difference(self) -> float:
        """The difference b - a."""
        return self.b - self.a

    @property
    def clear(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0

    def in_percent(self) -> dict[str, float | bool | None]:
        """Return plain values in percent; ``None`` for NaN."""
        names = ("a", "b", "difference", "low", "high", "better")
        return {name: _percent(getattr(self, name)) for name in names} | {"clear": self.clear}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Differences:
    """PQ, SQ and RQ (rows) of two results, for groups of classes (columns).

    Values from 0 to 1; NaN if missing. See `Difference`.
    """

    first: Float64[np.ndarray, "3 m"]
    second: Float64[np.ndarray, "3 m"]
    low: Float64[np.ndarray, "3 m"]
    high: Float64[np.ndarray, "3 m"]
    better: Float64[np.ndarray, "3 m"]

    images: Int64[np.ndarray, " m"]
    """Number of images in which either result has a class of the group."""

    def at(self, row: int, column: int) -> Difference:
        """Return one entry."""
        columns = (self.first, self.second, self.low, self.high, self.better)
        return Difference(*(float(values[row, column]) for values in columns))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Comparison:
    """Differences between two results, A and B, on their common images."""

    first: Result
    """A, restricted to the common images."""

    second: Result
    """B, with the same images and classes in the same order."""

    differences: Differences
    """Columns are `GROUPS`, then each class."""

    samples: int
    """Number of bootstrap samples behind the intervals."""

    def __repr__(self) -> str:
        pq = self.pq
        return (
            f"Comparison({len(self.first.image_ids)} images, PQ {100 * pq.a:.2f} and "
            f"{100 * pq.b:.2f}, difference {100 * pq.low:+.2f} to {100 * pq.high:+.2f})"
        )

    @property
    def pq(self) -> Difference:
        """Difference in mean PQ over all classes."""
        return self.differences.at(0, 0)

    @property
    def sq(self) -> Difference:
        """Difference in mean SQ over all classes."""
        return self.differences.at(1, 0)

    @property
    def rq(self) -> Difference:
        """Difference in mean RQ over all classes."""
        return self.differences.at(2, 0)

    def summary(self) -> dict[str, Any]:
        """Return plain values in percent, ready for a JSON file.

        Returns:
            ``all``, ``things``, ``stuff``, and ``classes``, sorted by descending difference: the
            number of ``images`` that show them and their ``pq``, ``sq`` and ``rq``, each with
            ``a``, ``b``, the ``difference`` b - a, the ends of its interval, ``low`` and ``high``,
            the share of samples in which B is ``better``, and whether the difference is ``clear``:
            the interval excludes 0. ``images``, sorted by descending difference; other
            ``figures``. Missing values are ``None``.
        """
        rows = [self._row(column) for column in range(len(self.differences.images))]
        named = zip(self.first.classes.items(), rows[len(GROUPS) :], strict=True)
        classes = [{"name": name, "isthing": isthing} | row for (name, isthing), row in named]
        return {
            "a": str(self.first.path),
            "b": str(self.second.path),
            "samples": self.samples,
            **dict(zip(GROUPS, rows, strict=False)),
            "classes": sorted(classes, key=lambda row: _rank(row["pq"]["difference"])),
            "figures": dict(self._figures()),
            "images": self._images(),
        }

    def _row(self, column: int) -> dict[str, Any]:
        return {"images": int(self.differences.images[column])} | {
            name: self.differences.at(row, column).in_percent()
            for row, name in enumerate(_QUALITIES)
        }

    def _figures(self) -> Iterator[tuple[str, dict[str, float]]]:
        for name, a in self.first.figures.items():
            if name in self.second.figures:
                b = self.second.figures[name]
                yield name, {"a": a, "b": b, "difference": b - a}

    def _images(self) -> list[dict[str, Any]]:
        everything = np.ones((1, len(self.first.classes)), bool)
        a, b = (
            class_means(result.sums, everything)[:, 0, 0] for result in (self.first, self.second)
        )
        columns = (map(_percent, values.tolist()) for values in (a, b, b - a))
        rows = [
            {"image_id": image_id, "a": one, "b": other, "difference": difference}
            for image_id, one, other, difference in zip(self.first.image_ids, *columns, strict=True)
        ]
        return sorted(rows, key=lambda row: _rank(row["difference"]))


def compare_results(
    a: Result | Path | str,
    b: Result | Path | str,
    *,
    common: bool = False,
    samples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compare two results on the same images, with bootstrap confidence intervals.

    Args:
        a: A result, or its JSON file, as `jsisnet score` or `jsisnet evaluate` writes it.
        b: Another one, measured by the same rules, on the same classes and ground truth.
        common: Whether to leave out images that only one result has, rather than raise an error.
            Figures that are known for all images only are then left out too.
        samples: Number of bootstrap samples.
        seed: Bootstrap seed.

    Raises:
        ValueError: If a file is invalid or the results can't be compared; the message says why.

    Example:
        >>> comparison = jsisnet.compare("before.json", "after.json")  # doctest: +SKIP
        >>> comparison.pq.difference, comparison.pq.clear  # doctest: +SKIP
        (0.0213, True)
    """
    first, second = (
        each if isinstance(each, Result) else read_result(Path(each)) for each in (a, b)
    )
    _check_rules(first, second)
    _check_classes(first, second)
    shared = set(first.image_ids) & set(second.image_ids)
    if not shared:
        raise ValueError(f"{second.path}: no image in common with {first.path}")
    if not common:
        _check_images(first, second, shared)
    first, second = (_subset(result, shared, list(first.classes)) for result in (first, second))
    _check_truth(first, second)
    isthing = np.array(list(first.classes.values()), bool)
    groups = [np.ones_like(isthing), isthing, ~isthing, *np.eye(len(isthing), dtype=bool)]
    return Comparison(
        first=first,
        second=second,
        differences=bootstrap(
            first.sums, second.sums, np.stack(groups), samples=samples, seed=seed
        ),
        samples=samples,
    )


def bootstrap(
    first: Float64[np.ndarray, "n 4 k"],
    second: Float64[np.ndarray, "n 4 k"],
    groups: Bool[np.ndarray, "m k"],
    *,
    samples: int = 1000,
    seed: int = 0,
) -> Differences:
    """Compute the differences between two results, with percentile bootstrap intervals.

    Each sample draws as many images as there are, with replacement, and measures both results on
    them. The interval thus shows how much the difference depends on the choice of images. Samples
    in which either result has no value are left out of the interval.

    Args:
        first: Sums of each image and class: IoU of the matches, tp, fp and fn.
        second: The other result, with the images and classes in the same order.
        groups: Which classes belong to each group; a figure is the mean over a group.
        samples: Number of bootstrap samples.
        seed: Bootstrap seed.

    Reference:
        Efron and Tibshirani, "An Introduction to the Bootstrap", chapter 13 (percentile interval).
    """
    sampled = np.concatenate(
        [
            class_means(_weighted_sums(weights, second), groups)
            - class_means(_weighted_sums(weights, first), groups)
            for weights in _weights(len(first), samples, first.shape[1] * first.shape[2], seed)
        ]
    )
    seen = (first[:, 1:] + second[:, 1:]).sum(axis=1) > 0
    images = (seen @ groups.T).sum(axis=0)
    enough = images >= MIN_IMAGES
    low, high, better = (np.where(enough, values, np.nan) for values in _intervals(sampled))
    return Differences(
        first=class_means(first.sum(axis=0), groups),
        second=class_means(second.sum(axis=0), groups),
        low=low,
        high=high,
        better=better,
        images=images,
    )


def _weights(
    images: int, samples: int, columns: int, seed: int
) -> Iterator[Float64[np.ndarray, "s n"]]:
    """Yield how often each sample draws each image, in chunks of samples."""
    random = np.random.default_rng(seed)
    chunk = max(1, _CHUNK // max(images, columns))
    for start in range(0, samples, chunk):
        number = min(chunk, samples - start)
        draws = random.multinomial(images, np.full(images, 1 / images), number)
        yield draws.astype(np.float64)


def _weighted_sums(
    weights: Float64[np.ndarray, "s n"], sums: Float64[np.ndarray, "n 4 k"]
) -> Float64[np.ndarray, "s 4 k"]:
    """Sum the images of each sample."""
    return (weights @ sums.reshape(len(sums), -1)).reshape(len(weights), *sums.shape[1:])


def _intervals(
    sampled: Float64[np.ndarray, "s 3 m"],
) -> tuple[Float64[np.ndarray, "3 m"], ...]:
    """Return the ends of the interval and the fraction above 0, of the samples with a value."""
    result = np.full((3, *sampled.shape[1:]), np.nan)
    for index in np.ndindex(sampled.shape[1:]):
        values = sampled[(slice(None), *index)]
        values = values[~np.isnan(values)]
        if len(values):
            ends = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
            result[(slice(None), *index)] = [*ends, (values > 0).mean()]
    return tuple(result)


def _check_rules(first: Result, second: Result) -> None:
    if first.mode != second.mode and not {first.mode, second.mode} <= set(_OFFICIAL):
        raise ValueError(
            f"{second.path}: the mode is {second.mode!r}, but that of {first.path} is "
            f"{first.mode!r}; expected the same mode"
        )


def _check_classes(first: Result, second: Result) -> None:
    for here, there in ((first, second), (second, first)):
        for name, isthing in here.classes.items():
            if there.classes.get(name) != isthing:
                kind = "thing" if isthing else "stuff"
                raise ValueError(f"{there.path}: no {kind} class {name!r}, which {here.path} has")


def _check_images(first: Result, second: Result, shared: AbstractSet[ImageId]) -> None:
    alone = [
        f"{image_id!r} in {result.path}"
        for result in (first, second)
        for image_id in result.image_ids
        if image_id not in shared
    ]
    if alone:
        raise ValueError(
            f"{second.path}: images differ from those of {first.path} (in one file only: "
            f"{len(alone)}, such as {alone[0]}); set common to compare those in both"
        )


def _check_truth(first: Result, second: Result) -> None:
    """Check that both results count the same true segments."""
    true, others = ((result.sums[:, 1] + result.sums[:, 3]) for result in (first, second))
    images, labels = np.nonzero(true != others)
    if len(images):
        image, label = int(images[0]), int(labels[0])
        raise ValueError(
            f"{second.path}: image {first.image_ids[image]!r}: {others[image, label]:.0f} true "
            f"segments of {list(first.classes)[label]!r}, but {true[image, label]:.0f} in "
            f"{first.path}; expected results on the same ground truth"
        )


def _subset(result: Result, images: AbstractSet[ImageId], names: Sequence[str]) -> Result:
    """Keep some images of a result, and put its classes in the order of `names`."""
    kept = np.array([image_id in images for image_id in result.image_ids], bool)
    order = [list(result.classes).index(name) for name in names]
    return replace(
        result,
        classes={name: result.classes[name] for name in names},
        image_ids=tuple(image_id for image_id in result.image_ids if image_id in images),
        sums=result.sums[kept][:, :, order],
        figures=result.figures if kept.all() else {},
    )


def _percent(value: float) -> float | None:
    return None if np.isnan(value) else 100 * float(value)


def _rank(difference: float | None) -> tuple[bool, float]:
    """Return the key that sorts by descending absolute difference, missing ones last."""
    return difference is None, -abs(difference or 0.0)
