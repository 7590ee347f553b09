"""Violations of rules, counted by rule, with the first messages of each."""

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

R = TypeVar("R", bound=Hashable)


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleViolations(Generic[R]):
    """The violations of one rule."""

    rule: R
    """The rule."""

    count: int
    """Number of violations."""

    examples: tuple[str, ...]
    """Messages of the first violations."""


@dataclass(frozen=True, slots=True)
class ViolationCounter(Generic[R]):
    """Counts violations by rule and keeps the first messages of each rule."""

    max_examples: int
    """Messages to keep of each rule."""
    counts: Counter[R] = field(default_factory=Counter)
    examples: dict[R, list[str]] = field(default_factory=dict)

    def add(self, rule: R, message: str) -> None:
        """Count a violation."""
        self.counts[rule] += 1
        kept = self.examples.setdefault(rule, [])
        if len(kept) < self.max_examples:
            kept.append(message)

    def by_rule(self) -> tuple[RuleViolations[R], ...]:
        """Return the violated rules in the order of their first violations."""
        return tuple(
            RuleViolations(rule=rule, count=count, examples=tuple(self.examples[rule]))
            for rule, count in self.counts.items()
        )
