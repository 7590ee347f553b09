from jsisnet.datatools.check.check import check_dataset
from jsisnet.datatools.check.rules import Report, Rule, Severity

__all__ = ["Report", "Rule", "Severity", "check_dataset"]
