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
):
    # By its path, so that only the command that is called is imported.
    data.command(
        f"jsisnet.cli.{name}:{name}",
        name=name,
        usage=f"Usage: jsisnet data {name} {usage} [OPTIONS]",
    )
