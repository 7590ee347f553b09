"""The commands about data sets."""

from cyclopts import App

from jsisnet.cli.commands import Command, add

data = App(
    name="data",
    help_format="plaintext",
)
COMMANDS = (
    Command(
        "check",
        "check",
        "--images DIR --annotations FILE",
        "Check a data set, and repair one in COCO panoptic format on demand.",
    ),
    Command(
        "convert",
        "convert",
        "--from FORMAT --to FORMAT --out DIR",
        "Write a data set in another format; photos stay where they are.",
    ),
    Command(
        "generate",
        "generate",
        "--out DIR",
        "Draw scenes with their panoptic maps, to train on and to try things with.",
    ),
    Command(
        "merge-classes",
        "merge_classes",
        "--out DIR --by supercategory|--mapping FILE",
        "Write a data set with classes joined, in COCO panoptic format.",
    ),
    Command(
        "show",
        "show",
        "[--format FORMAT] --out FILE",
        "Draw some images of a data set, each beside its truth.",
    ),
    Command(
        "split",
        "split",
        "--annotations FILE --out DIR --parts NAME=SHARE...",
        "Split a COCO data set into parts that have their share of every class.",
    ),
    Command(
        "stats",
        "stats",
        "[--format FORMAT]",
        "Count what a data set holds, in all and of each class.",
    ),
)
add(data, "jsisnet data", "jsisnet.cli.data", COMMANDS)
