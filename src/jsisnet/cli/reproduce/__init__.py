"""The paper's tables and figures as commands."""

from cyclopts import App

app = App(
    name="reproduce",
    help="Run an experiment of the paper on any data; what it found stands beside it.",
    help_format="plaintext",
)
for name, home, usage in (
    ("table1", "measured", "--images DIR --annotations FILE"),
    ("table2", "trained", "CONFIG"),
    ("table3", "trained", "CONFIG"),
    ("table4", "measured", "--images DIR --annotations FILE"),
    ("figure1", "figures", "IMAGE --out FILE"),
    ("figure3", "figures", "IMAGE... --out FILE"),
    ("merge-ablation", "measured", "--images DIR --annotations FILE"),
):
    # By its path, so that only the command that is called is imported.
    command = f"jsisnet.cli.reproduce.{home}:{name.replace('-', '_')}"
    app.command(command, name=name, usage=f"Usage: jsisnet reproduce {name} {usage} [OPTIONS]")
