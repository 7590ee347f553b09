"""Two results of the same images, side by side."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jsisnet.arrays import Bool, Float64, Int64
from jsisnet.evaluation.panoptic_quality import class_means
from jsisnet.evaluation.results import Result
from jsisnet.panoptic import ImageId

LEVEL = 0.95
"""Share of the samples that lie inside an interval."""

MIN_IMAGES = 6
"""Fewest images that show a class for it to get an interval. Fewer differences that are as likely
up as down all have one sign in more than 5 % of cases, and then the interval excludes 0."""

_NUMBERS = 2**20
"""Numbers that are in memory at once for each array of a chunk of samples, about."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Differences:
    """PQ, SQ and RQ of two results, down, for groups of classes, across.

    Values from 0 to 1; NaN where there is none.
    """

    first: Float64[np.ndarray, "3 m"]
    """Of the first result."""

    second: Float64[np.ndarray, "3 m"]
    """Of the second result."""

    low: Float64[np.ndarray, "3 m"]
    """Lower end of the interval of second - first; NaN with fewer than `MIN_IMAGES` images."""

    high: Float64[np.ndarray, "3 m"]
    """Its upper end, likewise."""

    better: Float64[np.ndarray, "3 m"]
    """Share of the samples in which the second result is higher, likewise."""

    images: Int64[np.ndarray, " m"]
    """Images in which either result has a class of the group."""


def differences(
    first: Float64[np.ndarray, "n 4 k"],
    second: Float64[np.ndarray, "n 4 k"],
    groups: Bool[np.ndarray, "m k"],
    *,
    samples: int = 1000,
    seed: int = 0,
) -> Differences:
    """Compare two results of the same images.

    A sample draws as many images as there are, with replacement, and both results are measured on
    it anew. So an interval tells how much the difference depends on which images were measured. A
    sample in which either result has no value doesn't enter the interval.

    Args:
        first: Sums of each image and class: IoU, matches, unmatched predicted ones, missed ones.
        second: Likewise, with the images and classes in the same order.
        groups: Classes that each figure is the mean over.
        samples: How often images are drawn.
        seed: Of the drawing.

    Reference:
        Efron and Tibshirani, "An Introduction to the Bootstrap", chapter 13 (percentile interval).
    """
    drawn = np.concatenate(
        [
            class_means(_drawn(weights, second), groups)
            - class_means(_drawn(weights, first), groups)
            for weights in _weights(len(first), samples, first.shape[1] * first.shape[2], seed)
        ]
    )
    seen = (first[:, 1:] + second[:, 1:]).sum(axis=1) > 0
    images = (seen @ groups.T).sum(axis=0)
    enough = images >= MIN_IMAGES
    low, high, better = (np.where(enough, values, np.nan) for values in _spread(drawn))
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
    """Tell how often each sample draws each image, some samples at a time."""
    random = np.random.default_rng(seed)
    chunk = max(1, _NUMBERS // max(images, columns))
    for start in range(0, samples, chunk):
        number = min(chunk, samples - start)
        drawn = random.multinomial(images, np.full(images, 1 / images), number)
        yield drawn.astype(np.float64)


def _drawn(
    weights: Float64[np.ndarray, "s n"], sums: Float64[np.ndarray, "n 4 k"]
) -> Float64[np.ndarray, "s 4 k"]:
    """Give the sums of samples."""
    return (weights @ sums.reshape(len(sums), -1)).reshape(len(weights), *sums.shape[1:])


def _spread(
    drawn: Float64[np.ndarray, "s 3 m"],
) -> tuple[Float64[np.ndarray, "3 m"], ...]:
    """Give the ends of the interval, and the share above 0, of the samples with a value."""
    result = np.full((3, *drawn.shape[1:]), np.nan)
    for place in np.ndindex(drawn.shape[1:]):
        values = drawn[(slice(None), *place)]
        values = values[~np.isnan(values)]
        if len(values):
            ends = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
            result[(slice(None), *place)] = [*ends, (values > 0).mean()]
    return tuple(result)


GROUPS = ("all", "things", "stuff")
"""Groups of classes, before each class by itself."""

_OFFICIAL = ("official", "strict")
"""Modes that give the same numbers."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Comparison:
    """What two results, A and B, have to say of their common images."""

    first: Result
    """A, of the common images."""

    second: Result
    """B, with the same images and classes in the same order."""

    differences: Differences
    """Of `GROUPS`, then of each class."""

    samples: int
    """How often images were drawn for the intervals."""

    def summary(self) -> dict[str, Any]:
        """Describe everything as plain values, in percent, ready for a JSON file.

        Returns:
            ``all``, ``things``, ``stuff``, and ``classes``, the most different first: the numbers
            of ``images`` that show them and their ``pq``, ``sq`` and ``rq``, each with ``a``,
            ``b``, the ``difference`` b - a, the ends of its interval, ``low`` and ``high``, the
            share of samples in which B is ``better``, and whether the difference is ``clear``: the
            interval excludes 0. ``images``, the most different first; other ``figures``. What has
            no value is ``None``.
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
            name: _described(self.differences, (line, column))
            for line, name in enumerate(("pq", "sq", "rq"))
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


def compare(
    first: Result, second: Result, *, common: bool = False, samples: int = 1000, seed: int = 0
) -> Comparison:
    """Compare two results.

    Args:
        first: A.
        second: B, by the same rules, of the same classes, against the same truth.
        common: Whether to leave out images that only one of them has; and, if there are any, the
            figures that are known of all images alone.
        samples: How often images are drawn for the intervals, as in `differences`.
        seed: Of the drawing.

    Raises:
        ValueError: If the results can't be compared; the message says why.
    """
    _refuse_other_rules(first, second)
    _refuse_other_classes(first, second)
    shared = set(first.image_ids) & set(second.image_ids)
    if not shared:
        raise ValueError(f"{second.path}: has no image of {first.path}")
    if not common:
        _refuse_other_images(first, second, shared)
    first, second = (_part(result, shared, list(first.classes)) for result in (first, second))
    _refuse_other_truth(first, second)
    isthing = np.array(list(first.classes.values()), bool)
    groups = [np.ones_like(isthing), isthing, ~isthing, *np.eye(len(isthing), dtype=bool)]
    return Comparison(
        first=first,
        second=second,
        differences=differences(
            first.sums, second.sums, np.stack(groups), samples=samples, seed=seed
        ),
        samples=samples,
    )


def _refuse_other_rules(first: Result, second: Result) -> None:
    if first.mode != second.mode and not {first.mode, second.mode} <= set(_OFFICIAL):
        raise ValueError(
            f"{second.path}: was judged by the rules {second.mode!r}, but {first.path} by "
            f"{first.mode!r}"
        )


def _refuse_other_classes(first: Result, second: Result) -> None:
    for here, there in ((first, second), (second, first)):
        for name, isthing in here.classes.items():
            if there.classes.get(name) != isthing:
                kind = "thing" if isthing else "stuff"
                raise ValueError(f"{there.path}: lacks the {kind} class {name!r} of {here.path}")


def _refuse_other_images(first: Result, second: Result, shared: AbstractSet[ImageId]) -> None:
    alone = [
        f"{image_id!r} in {result.path}"
        for result in (first, second)
        for image_id in result.image_ids
        if image_id not in shared
    ]
    if alone:
        raise ValueError(
            f"{second.path}: has other images than {first.path} (in one file only: {len(alone)}, "
            f"such as {alone[0]}); expected the same, unless the common ones are compared"
        )


def _refuse_other_truth(first: Result, second: Result) -> None:
    """Refuse results that tell of different numbers of true segments."""
    true, others = ((result.sums[:, 1] + result.sums[:, 3]) for result in (first, second))
    images, labels = np.nonzero(true != others)
    if len(images):
        image, label = int(images[0]), int(labels[0])
        raise ValueError(
            f"{second.path}: image {first.image_ids[image]!r}: has {others[image, label]:.0f} true "
            f"segments of {list(first.classes)[label]!r}, but {true[image, label]:.0f} in "
            f"{first.path}; expected results of one truth"
        )


def _part(result: Result, images: AbstractSet[ImageId], names: Sequence[str]) -> Result:
    """Give a result of some of its images, with the classes in the order of their names here."""
    kept = np.array([image_id in images for image_id in result.image_ids], bool)
    order = [list(result.classes).index(name) for name in names]
    return replace(
        result,
        classes={name: result.classes[name] for name in names},
        image_ids=tuple(image_id for image_id in result.image_ids if image_id in images),
        sums=result.sums[kept][:, :, order],
        figures=result.figures if kept.all() else {},
    )


def _described(found: Differences, place: tuple[int, int]) -> dict[str, float | bool | None]:
    low, high = found.low[place], found.high[place]
    a, b = found.first[place], found.second[place]
    return {
        "a": _percent(a),
        "b": _percent(b),
        "difference": _percent(b - a),
        "low": _percent(low),
        "high": _percent(high),
        "better": _percent(found.better[place]),
        "clear": bool(low > 0 or high < 0),
    }


def _percent(value: float) -> float | None:
    return None if np.isnan(value) else 100 * float(value)


def _rank(difference: float | None) -> tuple[bool, float]:
    """Tell the place among differences: the largest first, none last."""
    return difference is None, -abs(difference or 0.0)
