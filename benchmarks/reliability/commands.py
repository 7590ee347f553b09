"""The commands that write files, each with its inputs in ``in`` and its results in ``out``."""

from dataclasses import dataclass, replace

_RIVAL = "rival of "


@dataclass(frozen=True)
class Command:
    """A command, what of its results may differ from run to run, and a rival.

    Attributes:
        name: Name in the tables.
        tokens: Arguments of the command line.
        rival: Arguments of another command that writes to the same place.
        exempt: Patterns of files whose bytes may differ between two runs.
        reason: Why they may differ.
        trained: Whether it needs a trained network, or trains one, which takes seconds.
        code: Exit code of success.
    """

    name: str
    tokens: tuple[str, ...]
    rival: tuple[str, ...] = ()
    exempt: tuple[str, ...] = ()
    reason: str = ""
    trained: bool = False
    code: int = 0

    @property
    def place(self) -> str:
        """Name of the folder in which it runs; its rival runs in the same."""
        return self.name.removeprefix(_RIVAL)

    def of_rival(self) -> "Command":
        """Return the rival as a command of its own."""
        return replace(self, name=f"{_RIVAL}{self.name}", tokens=self.rival, rival=())


_TRUTH = ("--annotations", "in/val/predictions.json")
_PHOTOS = ("--images", "in/scenes/val")
_SCORED = (
    *("score", "in/val/predictions.json", "in/other/predictions.json"),
    *("--truth-pngs", "in/val", "--prediction-pngs", "in/other"),
)
_SUBMIT = ("submit", "--image-info", "in/val/predictions.json", "--split", "val", "--name", "ours")
_MERGE = (
    *("merge", "--image-info", "in/val/predictions.json", "--instances", "in/raw"),
    *("--semantic", "in/raw", "--out", "out/merged.json"),
)
_CONVERT = ("data", "convert", "--from", "coco", *_TRUTH, "--pngs", "in/val", "--out", "out/maps")
_PREDICT = ("predict", "in/scenes/val", "-q", "--model", "street", "-o", "out/maps")
_STREET = ("--model", "street", *_PHOTOS)
_BOARD = ("data", "show", *_TRUTH, "--pngs", "in/val", *_PHOTOS)
_FIX = ("data", "check", "--annotations", "in/val/broken.json", "--pngs", "in/val", *_PHOTOS)


def _convert(target: str) -> Command:
    other = (*_CONVERT[:3], "coco", "--annotations", "in/other/predictions.json")
    rival = (*other, "--pngs", "in/other", "--out", "out/maps", "--to", target)
    return Command(f"data convert to {target}", (*_CONVERT, "--to", target), rival)


COMMANDS = (
    Command(
        "predict",
        (*_PREDICT, "--format", "coco,labelme,cvat,label-studio"),
        (*_PREDICT, "--format", "coco,labelme,cvat,label-studio", "--min-score", "0.05"),
    ),
    Command("predict --raw", (*_PREDICT, "--no-overlay", "--raw", "out/raw")),
    Command(
        "predict with processes",
        (*_PREDICT, "--workers", "2"),
        (*_PREDICT, "--workers", "2", "--min-score", "0.05"),
    ),
    Command(
        "evaluate",
        (
            *("evaluate", *_STREET, *_TRUTH, "--pngs", "in/val", "--no-ap", "--out", "out/files"),
            *("--raw", "out/raw", "--report", "out/report", "--json", "out/a.json"),
        ),
        (
            *("evaluate", *_STREET, *_TRUTH, "--pngs", "in/val", "--no-ap", "--out", "out/files"),
            *("--raw", "out/raw", "--report", "out/report", "--json", "out/a.json"),
            *("--merge.min-score", "0.05"),
        ),
    ),
    Command(
        "score",
        (
            *(*_SCORED, "--json", "out/a.json", "--csv", "out/classes.csv"),
            *("--images-csv", "out/images.csv", "--report", "out/report", *_PHOTOS),
        ),
    ),
    Command(
        "compare",
        ("compare", "in/a.json", "in/b.json", "--json", "out/c.json", "--csv", "out/c.csv"),
    ),
    Command(
        "submit --predictions",
        (
            *(*_SUBMIT, "--predictions", "in/other/predictions.json"),
            *("--prediction-pngs", "in/other", "--out", "out"),
        ),
        (
            *(*_SUBMIT, "--predictions", "in/val/predictions.json"),
            *("--prediction-pngs", "in/val", "--out", "out"),
        ),
    ),
    Command(
        "submit --model",
        (*_SUBMIT, *_STREET, "--out", "out"),
        (
            *(*_SUBMIT, "--predictions", "in/val/predictions.json"),
            *("--prediction-pngs", "in/val", "--out", "out"),
        ),
    ),
    Command("submit --keep-maps", (*_SUBMIT, *_STREET, "--keep-maps", "--out", "out")),
    Command("merge", _MERGE, (*_MERGE, "--merge.min-score", "0.05")),
    *(
        _convert(target)
        for target in ("coco", "coco-instances", "two-channel", "semantic-instance", "cityscapes")
    ),
    Command(
        "data merge-classes",
        (
            *("data", "merge-classes", *_TRUTH, "--pngs", "in/val"),
            *("--mapping", "in/mapping.yaml", "--out", "out/merged"),
        ),
        (
            *("data", "merge-classes", *_TRUTH, "--pngs", "in/val"),
            *("--mapping", "in/mapping.yaml", "--only", "--out", "out/merged"),
        ),
    ),
    Command(
        "data split",
        (
            *("data", "split", *_TRUTH, "--pngs", "in/val", "--out", "out/parts"),
            *("--parts", "train=0.7", "val=rest"),
        ),
        (
            *("data", "split", *_TRUTH, "--pngs", "in/val", "--out", "out/parts"),
            *("--parts", "train=0.7", "val=rest", "--seed", "1"),
        ),
    ),
    Command(
        "data generate",
        ("data", "generate", "--out", "out/new", "--train", "40", "--val", "4", "--size", "48x64"),
        (
            *("data", "generate", "--out", "out/new", "--train", "40", "--val", "4"),
            *("--size", "48x64", "--seed", "1"),
        ),
    ),
    Command(
        "data stats",
        (
            *("data", "stats", *_TRUTH, "--pngs", "in/val", *_PHOTOS),
            *("--out", "out/stats", "--json", "out/stats.json"),
        ),
    ),
    Command("data check --fix", (*_FIX, "--fix", "out/fixed", "--json", "out/check.json")),
    Command("data check --json", (*_FIX, "--json", "out/check.json"), code=1),
    Command(
        "data list",
        (
            "data",
            "list",
            "--images",
            "in/scenes/val",
            "--categories",
            "in/val/predictions.json",
            "--out",
            "out/list.json",
        ),
    ),
    Command("data show", (*_BOARD, "--out", "out/board.png")),
    Command(
        "show",
        (
            *("show", "in/scenes/val/000001.png", "in/val/000001.png", "in/val/predictions.json"),
            *("--out", "out/look.jpg"),
        ),
    ),
    Command("demo", ("demo", "in/scenes/val", "--model", "street", "--out", "out/demo")),
    Command("models", ("models", "--json", "out/models.json")),
    Command(
        "reproduce figure1",
        (
            *("reproduce", "figure1", "in/scenes/val/000001.png", "--model", "street"),
            *("--out", "out/figure.png"),
        ),
        trained=True,
    ),
    Command(
        "reproduce table2",
        ("reproduce", "table2", "in/config.yaml", "--json", "out/table2.json"),
        trained=True,
    ),
    Command("imagenet", ("imagenet", "--out", "out/lite0.safetensors"), trained=True),
    Command("plot", ("plot", "in/run", "--out", "out/plot.png"), trained=True),
    Command("show-batch", ("show-batch", "in/config.yaml", "--out", "out/batch.png"), trained=True),
    Command(
        "train",
        ("train", "in/config.yaml", "--out", "out/run", "--resume"),
        ("train", "in/config.yaml", "--out", "out/run", "--resume", "--train.seed", "1"),
        exempt=("run/metrics.jsonl", "run/plot.png"),
        reason="seconds and memory of each step",
        trained=True,
    ),
    Command("export", ("export", "in/run", "--out", "out/model.onnx"), trained=True),
)
"""All commands that write files."""
