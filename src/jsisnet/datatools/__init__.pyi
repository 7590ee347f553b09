from jsisnet.datatools.check.check import check_dataset
from jsisnet.datatools.check.rules import Report

__all__ = ["Report", "check_dataset"]
