"""Choice of the merge's settings on annotated photos, checked on photos that are left out."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from jsisnet.arrays import Float32, Float64, Int64
from jsisnet.categories import Categories
from jsisnet.checks import check_ranges
from jsisnet.evaluation.panoptic_quality import ImageQuality, PanopticQuality, count_matches
from jsisnet.files.processes import available_cores
from jsisnet.inference.merge import Instances
from jsisnet.inference.model_folder import PredictionConfig
from jsisnet.inference.raw_outputs import RawOutputs
from jsisnet.inference.rules import MergeConfig

_SCORES = tuple(i / 20 for i in range(2, 19))
"""Minimum scores that are tried."""

_FACTORS = (0.0, 0.125, 0.25, 0.5, 2.0, 4.0, 8.0)
"""Areas that are tried, as multiples of the model's own."""

_USUAL_AREAS = {"original": 4096.0, "canvas": 4096.0, "image": 0.01}
"""Areas to multiply if the model's own is 0, by unit."""

_FEWEST = 3
"""Parts of the photos: one is left out, and settings for it are checked on one of the others."""

_LARGEST_AREA = 0.25
"""Largest area that is tried, as a part of the smallest photo."""

_ENOUGH = 1e-12
"""Difference of two values of PQ that counts as one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TuneConfig:
    """How settings are chosen."""

    folds: int = 5
    """Parts of the photos, in their order so that frames of one scene stay together; each part is
    left out once. At most one for each photo, and at least 3."""

    min_examples: int = 10
    """True segments from which on a class counts in the choice, and a thing class gets a minimum
    score of its own. If no class has as many, all count."""

    min_gain: float = 0.05
    """A setting is changed only if PQ on the photos left out gains more, in percentage points, and
    gains whichever part of the photos is ignored."""

    def __post_init__(self) -> None:
        check_ranges(self, "", folds=(_FEWEST, 1000), min_examples=(1, 1_000_000))


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A setting that was changed."""

    name: str
    """Its name, followed by ``of CLASS`` if it is that of a class."""

    before: float
    after: float

    gain: float
    """Gain in PQ on all photos, 0 to 1, when it was changed."""

    gain_left_out: float
    """Gain in PQ if the value for each part of the photos is chosen on the others."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Tuning:
    """Settings that were chosen, and their panoptic quality."""

    start: MergeConfig
    """Settings of the model, with the minimum score of its detections."""

    config: MergeConfig
    """The best settings."""

    changes: tuple[Change, ...]
    """Differences between the two, in the order in which they were chosen."""

    too_rare: tuple[str, ...]
    """Classes with too few examples to count."""

    before: PanopticQuality
    """Quality of the settings of the model on all photos."""

    after: PanopticQuality
    """Quality of the chosen settings on all photos, on which they were chosen."""

    left_out: PanopticQuality
    """Quality on all photos if the settings for each part of them are chosen on the others: what
    other photos may gain."""


def tune(
    raw: RawOutputs,
    config: TuneConfig | None = None,
    *,
    on_step: Callable[[int, int], object] = lambda *_: None,
) -> Tuning:
    """Choose the settings of the merge that give the best PQ.

    One setting after another takes the value that is best on all photos: the minimum score, the
    overlap of masks, the area and the probability of stuff, and then the minimum score of each
    thing class. It is changed only if that helps on photos that are left out, too. What counts is
    the mean PQ of the classes of which the photos show enough: one segment of a rare class would
    decide by chance.

    Args:
        raw: Outputs of a network.
        config: How settings are chosen.
        on_step: Called with the number of settings tried and the total.

    Raises:
        ValueError: If there are fewer than three photos, or none has a true segment.
    """
    config = config or TuneConfig()
    if len(raw) < _FEWEST:
        found = f"{len(raw)} photo{'' if len(raw) == 1 else 's'}"
        raise ValueError(
            f"{raw.dataset.path}: {found}; expected at least {_FEWEST}, to choose settings on some "
            "and check them on others, and better 100"
        )
    folds = min(config.folds, len(raw))
    search = _Search(_Trials(raw, folds), config, raw.predictor.config)
    count = (folds + 1) * len(search.knobs)
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        on_step(done, count)

    everything = list(range(folds))
    chosen, changes = search.choose(everything, step)
    left_out = np.zeros_like(search.trials.sums([chosen])[0, 0])
    for fold in everything:
        others, _ = search.choose([each for each in everything if each != fold], step)
        left_out += search.trials.sums([others])[fold, 0]
    before, after = search.trials.sums([search.start, chosen]).sum(0)
    return Tuning(
        start=search.start,
        config=chosen,
        changes=tuple(changes),
        too_rare=search.too_rare,
        before=_quality(before),
        after=_quality(after),
        left_out=_quality(left_out),
    )


@dataclass(frozen=True, slots=True)
class _Knob:
    """A setting, and what is tried for it."""

    name: str
    value: Callable[[MergeConfig], float]
    """Returns the value in some settings."""
    changed: Callable[[MergeConfig, float], MergeConfig]
    """Returns the settings with another value."""
    values: tuple[float, ...]


class _Search:
    """Settings to choose, and the trials that they are chosen by."""

    def __init__(self, trials: "_Trials", config: TuneConfig, own: PredictionConfig) -> None:
        self.trials, self.min_gain = trials, config.min_gain / 100
        self.start = _effective(own)
        examples = trials.sums([self.start])[:, 0, [1, 3]].sum((0, 1))
        if not examples.any():
            raise ValueError(
                f"{trials.raw.dataset.path}: no photo has a true segment; expected annotated photos"
            )
        isfrequent = examples >= config.min_examples
        self._counted = np.flatnonzero(isfrequent if isfrequent.any() else examples)
        categories = trials.raw.predictor.categories
        self.too_rare = tuple(
            category.name for label, category in enumerate(categories) if not isfrequent[label]
        )
        things = [categories[label].name for label in categories.thing_labels if isfrequent[label]]
        pixels = min(height * width for height, width in trials.raw.sizes)
        self.knobs = [*_general(self.start, pixels), *map(_of_class, things)]

    def choose(
        self, blocks: list[int], on_step: Callable[[], None]
    ) -> tuple[MergeConfig, list[Change]]:
        """Choose settings on some blocks of the photos."""
        current, changes = self.start, []
        for knob in self.knobs:
            before = knob.value(current)
            values = [value for value in knob.values if value != before]
            configs = [current, *(knob.changed(current, value) for value in values)]
            sums = self.trials.sums(configs)[blocks][..., self._counted]
            gains = _gains(sums)
            best = int(gains.argmax())
            gain_left_out, least = _gain_left_out(sums)
            if best and min(gains[best], gain_left_out) > self.min_gain and least > 0:
                current = configs[best]
                changes.append(
                    Change(
                        name=knob.name,
                        before=before,
                        after=knob.value(current),
                        gain=float(gains[best]),
                        gain_left_out=gain_left_out,
                    )
                )
            on_step()
        return current, changes


class _Trials:
    """Panoptic quality of settings, by block of the photos; what is known is not merged again."""

    def __init__(self, raw: RawOutputs, folds: int) -> None:
        self.raw = raw
        self._blocks = [number * folds // len(raw) for number in range(len(raw))]
        self._shape = (folds, 4, len(raw.predictor.categories))
        self._sums: dict[MergeConfig, Float64[np.ndarray, "f 4 k"]] = {}
        self._photos = [_Photo.of(raw.instances(number)) for number in range(len(raw))]

    def sums(self, configs: Sequence[MergeConfig]) -> Float64[np.ndarray, "f c 4 k"]:
        """Return the sums of each block for each of some settings; see `PanopticQuality.sums`."""
        missing = [config for config in dict.fromkeys(configs) if config not in self._sums]
        for config in missing:
            self._sums[config] = np.zeros(self._shape)
        if missing:
            with ThreadPoolExecutor(available_cores()) as pool:
                found = pool.map(partial(self._count, configs=missing), range(len(self.raw)))
                for block, qualities in zip(self._blocks, found, strict=True):
                    for config, quality in zip(missing, qualities, strict=True):
                        self._sums[config][block] += quality.spread(self._shape[-1]).sums
        return np.stack([self._sums[config] for config in configs], axis=1)

    def _count(self, number: int, configs: Sequence[MergeConfig]) -> list[ImageQuality]:
        """Return the quality of one photo for each of some settings."""
        photo, raw = self._photos[number], self.raw
        keys = {photo.key(config, raw.predictor.categories): config for config in configs}
        missing = {key: config for key, config in keys.items() if key not in photo.known}
        if missing:
            truth = raw.truth(number)
            outputs = raw.outputs(number)
            for key, config in missing.items():
                merged = raw.predictor.merge(outputs, truth.size, config)
                counted = count_matches(truth, merged, self._shape[-1])
                photo.known[key] = ImageQuality.of(raw.image_id(number), counted)
        return [photo.known[photo.key(config, raw.predictor.categories)] for config in configs]


@dataclass(frozen=True, slots=True)
class _Photo:
    """The detections of a photo, and its quality by what is merged and how."""

    labels: Int64[np.ndarray, " n"]
    scores: Float32[np.ndarray, " n"]
    known: dict[tuple[bytes, MergeConfig], ImageQuality] = field(default_factory=dict)

    @classmethod
    def of(cls, instances: Instances | None) -> "_Photo":
        if instances is None:
            return cls(np.zeros(0, np.int64), np.zeros(0, np.float32))
        return cls(instances.labels.astype(np.int64), instances.scores.astype(np.float32))

    def key(self, config: MergeConfig, categories: Categories) -> tuple[bytes, MergeConfig]:
        """Return the instances that take part in a merge, and its other settings."""
        lowest = np.array(config.min_scores(categories), np.float32)
        kept = self.scores >= lowest[self.labels]
        return kept.tobytes(), replace(config, min_score=0.0, class_min_scores=())


def _effective(own: PredictionConfig) -> MergeConfig:
    """Return the rules of a model with the scores by which its things are selected in the end."""
    lowest = own.network.detection.min_score
    classes = tuple((name, max(score, lowest)) for name, score in own.merge.class_min_scores)
    return replace(own.merge, min_score=max(own.merge.min_score, lowest), class_min_scores=classes)


def _general(start: MergeConfig, pixels: int) -> list[_Knob]:
    """Return the settings that concern all classes, for photos of at least so many pixels."""
    area = start.min_stuff_area or _USUAL_AREAS[start.area_unit]
    largest = _LARGEST_AREA * (1 if start.area_unit == "image" else pixels)
    values = {
        "min_score": _SCORES,
        "max_mask_overlap": (0.3, 0.5, 0.7, 1.0),
        "min_stuff_area": tuple(area * each for each in _FACTORS if area * each <= largest),
        "min_stuff_probability": (0.0, 0.2, 0.3, 0.4, 0.5),
    }
    return [
        _Knob(name, partial(_value, name), partial(_with_value, name), tried)
        for name, tried in values.items()
    ]


def _value(name: str, config: MergeConfig) -> float:
    return float(getattr(config, name))


def _with_value(name: str, config: MergeConfig, value: float) -> MergeConfig:
    return replace(config, **{name: value})  # type: ignore[arg-type]


def _of_class(name: str) -> _Knob:
    """Return the minimum score of a class."""
    return _Knob(
        f"min_score of {name}",
        lambda config: dict(config.class_min_scores).get(name, config.min_score),
        lambda config, value: replace(
            config,
            class_min_scores=tuple((dict(config.class_min_scores) | {name: value}).items()),
        ),
        _SCORES,
    )


def _objective(sums: Float64[np.ndarray, "*s 4 k"]) -> Float64[np.ndarray, "*s"]:
    """Return the mean PQ over the classes that have a true segment; 0 without any."""
    iou, tp, fp, fn = np.moveaxis(sums, -2, 0)
    seen = tp + fn > 0
    values = np.where(seen, iou / np.maximum(tp + fp / 2 + fn / 2, 1 / 2), 0)
    return np.asarray(values.sum(-1) / np.maximum(seen.sum(-1), 1))


def _gains(sums: Float64[np.ndarray, "f c 4 k"]) -> Float64[np.ndarray, " c"]:
    """Return how much better each of some settings is than the first, on all blocks."""
    values = _objective(sums.sum(0))
    gains = values - values[0]
    return np.where(gains > _ENOUGH, gains, np.minimum(gains, 0))


def _gain_left_out(sums: Float64[np.ndarray, "f c 4 k"]) -> tuple[float, float]:
    """Return the gain if the settings for each block are those that are best on the others.

    Returns:
        The gain on all blocks, and the least of those on all blocks but one: a gain that one block
        makes alone is chance.
    """
    others = sums.sum(0) - sums
    chosen = [int(_gains(others[[block]]).argmax()) for block in range(len(sums))]
    pair = np.stack([sums[:, 0], sums[np.arange(len(sums)), chosen]], axis=1)
    without_one = _objective(pair.sum(0) - pair)
    before, after = _objective(pair.sum(0)).tolist()
    return after - before, float((without_one[:, 1] - without_one[:, 0]).min())


def _quality(sums: Float64[np.ndarray, "4 k"]) -> PanopticQuality:
    return PanopticQuality(sums[0], *sums[1:].astype(np.int64))
