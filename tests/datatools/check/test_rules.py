from pathlib import Path

from jsisnet.datatools.check.rules import Rule, Severity, sort_by_severity
from jsisnet.datatools.violations import ViolationCounter

DOCUMENT = Path(__file__).parents[3] / "docs" / "reference" / "data_check.md"


def test_the_documentation_lists_every_rule():
    text = DOCUMENT.read_text(encoding="utf-8")

    for rule in Rule:
        row = (f"`{rule.id}`", rule.severity, rule.problem, rule.repair or "-")
        assert f"| {' | '.join(row)} |\n" in text


def test_errors_come_before_warnings_and_notes():
    counter: ViolationCounter[Rule] = ViolationCounter(max_examples=1)

    for rule, message in [(Rule.PIECES, "a"), (Rule.BBOX, "b"), (Rule.PNG, "c"), (Rule.PNG, "d")]:
        counter.add(rule, message)

    violations = sort_by_severity(counter.by_rule())
    assert [each.rule.severity for each in violations] == list(Severity)
    assert [(each.count, each.examples) for each in violations] == [
        (2, ("c",)),
        (1, ("b",)),
        (1, ("a",)),
    ]
