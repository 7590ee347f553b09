from pathlib import Path

from jsisnet.datatools.check.rules import Case, Findings, Rule, Severity

DOCUMENT = Path(__file__).parents[3] / "docs" / "reference" / "data_check.md"


def test_every_rule_is_documented_as_it_is():
    text = DOCUMENT.read_text(encoding="utf-8")

    for rule in Rule:
        row = (f"`{rule.title}`", rule.severity, rule.sentence, rule.repair or "-")
        assert f"| {' | '.join(row)} |\n" in text


def test_the_severest_faults_come_first():
    findings = Findings(most=1)

    findings.add([Case(Rule.PIECES, "a"), Case(Rule.BBOX, "b"), Case(Rule.PNG, "c")])
    findings.add([Case(Rule.PNG, "d")])

    faults = findings.faults()
    assert [fault.rule.severity for fault in faults] == list(Severity)
    assert [(fault.count, fault.examples) for fault in faults] == [
        (2, ("c",)),
        (1, ("b",)),
        (1, ("a",)),
    ]
