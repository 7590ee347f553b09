"""Resuming a run: settings that may differ, data that must not, and more steps than planned."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jsisnet.data.sources import Sources
from jsisnet.settings import plain
from jsisnet.training.config import RunConfig

MUTABLE = (
    *("log_every", "checkpoint_every", "evaluate_every", "workers", "pictures", "export"),
    *("ap", "keep", "deterministic"),
)
"""Settings of `TrainConfig` that may change when a run is resumed, as may all of `DeviceConfig`."""

_PATHS = ("root", "images", "annotations", "pngs", "semantic", "instances", "categories", "cache")
"""Settings of `DataConfig` that may change, because the data itself is compared."""

_DATA = ("data", "more_data", "validation")
"""Sections with data sets."""

_LISTED = 3
"""Most differences in a message."""

_LENGTH = ("train.steps", "train.epochs")

_DERIVED = {
    "train.steps": "train.epochs",
    "optim.milestones": "optim.milestone_epochs",
    "network.anchors.sizes": "train.fit_anchors",
    "network.anchors.ratios": "train.fit_anchors",
}
"""Settings that a training replaces, and the setting by which it does."""


def check_settings(before: RunConfig, config: RunConfig, run: Path, *, extend: bool) -> None:
    """Check that a run may be resumed with other settings.

    Args:
        before: Settings of the run.
        config: Those to resume it with.
        run: The run folder, for the message.
        extend: Whether the number of steps may change.

    Raises:
        ValueError: If a setting differs that determines the result; the message names it.
    """
    old, new = (dict(_decisive(plain(each))) for each in (before, config))
    ignored = {name for name, origin in _DERIVED.items() if new.get(origin)}
    ignored |= set(_LENGTH) if extend else set()
    changed = [n for n in {**old, **new} if old.get(n) != new.get(n) and n not in ignored]
    if not changed:
        return
    listed = ", ".join(
        f"{name} {_text(old.get(name))}, not {_text(new.get(name))}" for name in changed[:_LISTED]
    )
    more = f", and {len(changed) - _LISTED} more" if len(changed) > _LISTED else ""
    hint = "add steps by --extend, " if set(changed) <= set(_LENGTH) else ""
    raise ValueError(
        f"{run}: the run was started with {listed}{more}; resume it with its own settings, {hint}"
        f"or start a new run from its model (--start {run} --out OTHER)"
    )


def digests(config: RunConfig, samples: Sources) -> dict[str, str]:
    """Return the hash of each training data set by its name in the settings."""
    sections = {"data": config.data}
    sections |= {f"more_data.{name}": data for name, data in config.more_data.items()}
    used = [name for name, data in sections.items() if data.weight > 0]
    return {name: data.digest() for name, data in zip(used, samples.datasets, strict=True)}


def check_data(before: Mapping[str, str], now: Mapping[str, str], run: Path) -> None:
    """Check that a run is resumed with the data that it was started with.

    Raises:
        ValueError: If a data set differs.
    """
    changed = [name for name, digest in now.items() if before.get(name, digest) != digest]
    if changed:
        raise ValueError(
            f"{run}: the run was started with other photos or annotations in {', '.join(changed)}; "
            f"resume it with the same data, or start a new run from its model (--start {run} "
            "--out OTHER)"
        )


def extension(before: RunConfig, config: RunConfig, step: int) -> str | None:
    """Describe the schedule of a run that is resumed with more steps; ``None`` if there are none.

    Args:
        before: Settings of the run.
        config: Those to resume it with.
        step: Number of completed steps.

    Raises:
        ValueError: If there are fewer steps than before.
    """
    old, new = before.train.steps, config.train.steps
    if new < old:
        raise ValueError(f"train.steps is {new}, but the run has {old}; --extend only adds steps")
    if new == old:
        return None
    last, following = (
        config.optim.lr * config.optim.factor(number, length)
        for number, length in ((max(step - 1, 0), old), (step, new))
    )
    return (
        f"extended from {old:,} to {new:,} steps; from here on the {config.optim.schedule} "
        f"schedule is that of {new:,} steps: step {step + 1:,} has the learning rate "
        f"{following:.3g}, the one before had {last:.3g}"
    )


def _decisive(values: Any, prefix: str = "") -> Iterator[tuple[str, object]]:  # noqa: ANN401 - plain
    """Yield the settings that determine the result of a training, by their dotted names."""
    for name, value in values.items():
        dotted = f"{prefix}{name}"
        section = prefix.partition(".")[0]
        free = {"": ("root", "devices"), "train": MUTABLE}
        if name in free.get(section, _PATHS if section in _DATA else ()):
            continue
        if isinstance(value, Mapping):
            yield from _decisive(value, f"{dotted}.")
        else:
            yield dotted, value


def _text(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value)) or "unset"
    return "unset" if value is None else str(value)
