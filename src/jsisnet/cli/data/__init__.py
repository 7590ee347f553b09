"""`jsisnet data`: check, convert, split, describe and draw data sets."""

from cyclopts import App

from jsisnet.cli.commands import Command, register

data = App(
    name="data",
    help_format="plaintext",
)
COMMANDS = (
    Command(
        "check",
        "check",
        "--images DIR --annotations FILE",
        "Check a data set for errors; --fix repairs COCO panoptic and instances files.",
    ),
    Command(
        "convert",
        "convert",
        "--from FORMAT --to FORMAT --out DIR",
        "Convert a data set to another format; images stay in place.",
    ),
    Command(
        "generate",
        "generate",
        "--out DIR",
        "Generate a synthetic data set of simple scenes with panoptic maps.",
    ),
    Command(
        "list",
        "list_images",
        "--images DIR --categories FILE --out FILE",
        "List the photos of a folder, for submit and merge.",
    ),
    Command(
        "merge-classes",
        "merge_classes",
        "--out DIR --by supercategory|--mapping FILE",
        "Merge classes of a data set, and write it in COCO panoptic format.",
    ),
    Command(
        "show",
        "show",
        "[--format FORMAT] --out FILE",
        "Draw images of a data set beside their ground truth.",
    ),
    Command(
        "split",
        "split",
        "--annotations FILE --out DIR --parts NAME=SHARE...",
        "Split a COCO data set, stratified by class.",
    ),
    Command(
        "stats",
        "stats",
        "[--format FORMAT]",
        "Print statistics of a data set and of each of its classes.",
    ),
)
register(data, "jsisnet data", "jsisnet.cli.data", COMMANDS)
