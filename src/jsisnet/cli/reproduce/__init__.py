"""The paper's tables and figures as commands."""

from cyclopts import App

app = App(
    name="reproduce",
    help="Run an experiment of the paper on any data; what it found stands beside it.",
    help_format="plaintext",
)
for name, home, usage in (
    ("table1", "measured", "--tiny|--root DIR"),
    ("table2", "trained", "--tiny|CONFIG"),
    ("table3", "trained", "--tiny|CONFIG"),
    ("table4", "measured", "--tiny|--root DIR"),
    ("figure1", "figures", "--tiny|IMAGE --out FILE"),
    ("figure3", "figures", "--tiny|IMAGE... --out FILE"),
    ("speed", "trained", "--tiny|CONFIG"),
    ("merge-ablation", "measured", "--tiny|--root DIR"),
):
    # By its path, so that only the command that is called is imported.
    command = f"jsisnet.cli.reproduce.{home}:{name.replace('-', '_')}"
    app.command(command, name=name, usage=f"Usage: jsisnet reproduce {name} {usage} [OPTIONS]")
