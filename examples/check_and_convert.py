"""Check a COCO panoptic data set, then convert it to two-channel PNGs.

python examples/check_and_convert.py val.json val2017 converted
"""

import sys
from pathlib import Path

import jsisnet
from jsisnet.datatools.convert import convert
from jsisnet.formats import create_dataset

annotations, images, out = sys.argv[1:]

report = jsisnet.check(annotations, images=images)
print(report)
for violated in report.violations:
    rule, example = violated.rule, violated.examples[0]
    print(f"{rule.severity}: {rule.problem}: {violated.count}, such as {example}")
if not report.valid:
    sys.exit("Repair the errors first; `jsisnet data check --fix` repairs most of them.")

source = jsisnet.open_dataset("coco", annotations=annotations, images=images)
result = convert(source, create_dataset("two-channel", Path(out), source.categories))

print(f"Wrote {len(source.records)} maps to {out}")
for what, count in result.lost.items():
    print(f"The format can't hold {count} {what}")
