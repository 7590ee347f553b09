"""The paper's tables and figures as commands."""

from cyclopts import App

from jsisnet.cli.commands import Command, add

app = App(
    name="reproduce",
    help_format="plaintext",
)
COMMANDS = (
    Command(
        "table1",
        "measured",
        "--tiny|--root DIR",
        "Measure PQ, SQ and RQ for all, things and stuff, as the paper's Table 1.",
    ),
    Command(
        "table2",
        "trained",
        "--tiny|CONFIG",
        "Show the weights of the loss terms, and the terms of the first step: Table 2.",
    ),
    Command(
        "table3",
        "trained",
        "--tiny|CONFIG",
        "Compare one joint network with a semantic and an instance network: Table 3.",
    ),
    Command(
        "table4",
        "measured",
        "--tiny|--root DIR",
        "Measure the mean recall of the region proposals, as the paper's Table 4.",
    ),
    Command(
        "figure1",
        "figures",
        "--tiny|IMAGE --out FILE",
        "Draw a photo, its panoptic map, and what each branch says by itself: Figure 1.",
    ),
    Command(
        "figure3",
        "figures",
        "--tiny|IMAGE... --out FILE",
        "Draw photos with their panoptic maps beside them: Figure 3.",
    ),
    Command(
        "speed",
        "trained",
        "--tiny|CONFIG",
        "Compare what one network costs with what two cost: the paper's claim.",
    ),
    Command(
        "merge-ablation",
        "measured",
        "--tiny|--root DIR",
        "Measure what each heuristic of the merge (section 2.2) is worth.",
    ),
)
add(app, "jsisnet reproduce", "jsisnet.cli.reproduce", COMMANDS)
