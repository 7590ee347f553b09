"""The commands about data sets."""

from cyclopts import App

data = App(
    name="data",
    help="Data sets of many formats: open, change and describe them.",
    help_format="plaintext",
)
for name, usage in (
    ("check", "--images DIR --annotations FILE"),
    ("convert", "--from FORMAT --to FORMAT --out DIR"),
    ("generate", "--out DIR"),
    ("merge-classes", "--out DIR --by supercategory|--mapping FILE"),
    ("split", "--annotations FILE --out DIR --parts NAME=SHARE..."),
    ("stats", "[--format FORMAT]"),
):
    # By its path, so that only the command that is called is imported.
    home = name.replace("-", "_")
    data.command(
        f"jsisnet.cli.{home}:{home}",
        name=name,
        usage=f"Usage: jsisnet data {name} {usage} [OPTIONS]",
    )
data.command(
    "jsisnet.cli.data_show:show",
    name="show",
    usage="Usage: jsisnet data show [--format FORMAT] --out FILE [OPTIONS]",
)
