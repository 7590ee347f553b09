"""`jsisnet reproduce`: tables and figures of the paper."""

from cyclopts import App

from jsisnet.cli.commands import Command, register

app = App(
    name="reproduce",
    help_format="plaintext",
)
COMMANDS = (
    Command(
        "data",
        "data",
        "--coco DIR|--camvid DIR --out DIR",
        "Make the data sets of the embedded models, from COCO and CamVid as downloaded.",
    ),
    Command(
        "table1",
        "measured",
        "--tiny|--root DIR",
        "Reproduce Table 1: PQ, SQ and RQ for all classes, things and stuff.",
    ),
    Command(
        "table2",
        "trained",
        "--tiny|CONFIG",
        "Reproduce Table 2: weights of the loss terms, and their values at the first step.",
    ),
    Command(
        "table3",
        "trained",
        "--tiny|CONFIG",
        "Reproduce Table 3: one joint network against a semantic and an instance network.",
    ),
    Command(
        "table4",
        "measured",
        "--tiny|--root DIR",
        "Reproduce Table 4: mean recall of the region proposals.",
    ),
    Command(
        "figure1",
        "figures",
        "--tiny|IMAGE --out FILE",
        "Reproduce Figure 1: an image, its panoptic map, and the output of each branch.",
    ),
    Command(
        "figure2",
        "figures",
        "[CONFIG...] --out FILE",
        "Reproduce Figure 2: the blocks of the network, with the sizes of their tensors.",
    ),
    Command(
        "figure3",
        "figures",
        "--tiny|IMAGE... --out FILE",
        "Reproduce Figure 3: images beside their panoptic maps.",
    ),
    Command(
        "speed",
        "trained",
        "--tiny|CONFIG",
        "Compare time and memory of one joint network with those of two single ones.",
    ),
    Command(
        "training-ablation",
        "trained",
        "CONFIG",
        "Measure what each change of the settings of a training gains.",
    ),
    Command(
        "merge-ablation",
        "measured",
        "--tiny|--root DIR",
        "Measure the effect of each heuristic of the merge (section 2.2).",
    ),
)
register(app, "jsisnet reproduce", "jsisnet.cli.reproduce", COMMANDS)
