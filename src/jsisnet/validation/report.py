"""What is wrong with a data set, as a whole."""

from dataclasses import dataclass

from jsisnet.datatools.check.rules import Fault, Severity


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What is wrong with a data set."""

    images: int
    """Images that could be checked."""

    segments: int
    """Segments of theirs that can be used."""

    faults: tuple[Fault, ...]
    """Broken rules, the severest first."""

    def count(self, severity: Severity) -> int:
        """Count the cases of a severity."""
        return sum(fault.count for fault in self.faults if fault.rule.severity is severity)

    @property
    def sound(self) -> bool:
        """Whether there are no errors."""
        return self.count(Severity.ERROR) == 0

    @property
    def repairable(self) -> bool:
        """Whether a repaired copy has no errors."""
        errors = (fault.rule for fault in self.faults if fault.rule.severity is Severity.ERROR)
        return all(rule.repair is not None for rule in errors)

    def summary(self) -> dict[str, object]:
        """Give everything as JSON would."""
        return {
            "images": self.images,
            "segments": self.segments,
            **{f"{severity}s": self.count(severity) for severity in Severity},
            "faults": [
                {
                    "rule": fault.rule.title,
                    "severity": fault.rule.severity.value,
                    "expected": fault.rule.sentence,
                    "repair": fault.rule.repair,
                    "count": fault.count,
                    "examples": list(fault.examples),
                }
                for fault in self.faults
            ],
        }
