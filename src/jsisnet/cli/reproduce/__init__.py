"""The paper's tables and figures as commands."""

from cyclopts import App

app = App(
    name="reproduce",
    help="Run an experiment of the paper on any data; what it found stands beside it.",
    help_format="plaintext",
)
for name, home, usage, help_ in (
    (
        "table1",
        "measured",
        "--tiny|--root DIR",
        "Measure PQ, SQ and RQ for all, things and stuff, as the paper's Table 1.",
    ),
    (
        "table2",
        "trained",
        "--tiny|CONFIG",
        "Show the weights of the loss terms, and the terms of the first step: Table 2.",
    ),
    (
        "table3",
        "trained",
        "--tiny|CONFIG",
        "Compare one joint network with a semantic and an instance network: Table 3.",
    ),
    (
        "table4",
        "measured",
        "--tiny|--root DIR",
        "Measure the mean recall of the region proposals, as the paper's Table 4.",
    ),
    (
        "figure1",
        "figures",
        "--tiny|IMAGE --out FILE",
        "Draw a photo, its panoptic map, and what each branch says by itself: Figure 1.",
    ),
    (
        "figure3",
        "figures",
        "--tiny|IMAGE... --out FILE",
        "Draw photos with their panoptic maps beside them: Figure 3.",
    ),
    (
        "speed",
        "trained",
        "--tiny|CONFIG",
        "Compare what one network costs with what two cost: the paper's claim.",
    ),
    (
        "merge-ablation",
        "measured",
        "--tiny|--root DIR",
        "Measure what each heuristic of the merge (section 2.2) is worth.",
    ),
):
    # By its path, so that only the command that is called is imported.
    app.command(
        f"jsisnet.cli.reproduce.{home}:{name.replace('-', '_')}",
        name=name,
        usage=f"Usage: jsisnet reproduce {name} {usage} [OPTIONS]",
        help=help_,
    )
