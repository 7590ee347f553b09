"""The commands about data sets."""

from cyclopts import App

data = App(
    name="data",
    help="Data sets of many formats: open, change and describe them.",
    help_format="plaintext",
)
for name, home, usage, help_ in (
    (
        "check",
        "check",
        "--images DIR --annotations FILE",
        "Check a data set, and repair one in COCO panoptic format on demand.",
    ),
    (
        "convert",
        "convert",
        "--from FORMAT --to FORMAT --out DIR",
        "Write a data set in another format; photos stay where they are.",
    ),
    (
        "generate",
        "generate",
        "--out DIR",
        "Draw scenes with their panoptic maps, to train on and to try things with.",
    ),
    (
        "merge-classes",
        "merge_classes",
        "--out DIR --by supercategory|--mapping FILE",
        "Write a data set with classes joined, in COCO panoptic format.",
    ),
    (
        "show",
        "data_show",
        "[--format FORMAT] --out FILE",
        "Draw some images of a data set, each beside its truth.",
    ),
    (
        "split",
        "split",
        "--annotations FILE --out DIR --parts NAME=SHARE...",
        "Split a COCO data set into parts that have their share of every class.",
    ),
    (
        "stats",
        "stats",
        "[--format FORMAT]",
        "Count what a data set holds, in all and of each class.",
    ),
):
    # By its path, so that only the command that is called is imported.
    data.command(
        f"jsisnet.cli.{home}:{name.replace('-', '_')}",
        name=name,
        usage=f"Usage: jsisnet data {name} {usage} [OPTIONS]",
        help=help_,
    )
