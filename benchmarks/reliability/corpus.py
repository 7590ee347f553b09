"""Commands that read files, and the files of each that are damaged."""

import json
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import hotcoco.mask
import numpy as np
from PIL import Image

from reliability.workshop import Workshop, run

PHOTOS = 3
"""Photos of the corpus."""

PHOTO_KINDS = ("png", "jpg", "webp", "tif", "bmp", "gif")
"""Formats of a photo that is the same in all of them, but for losses."""

_TRUTH = ("--annotations", "in/val/predictions.json", "--pngs", "in/val")
_STREET = ("--model", "street")
_VAL = "in/val/predictions.json"


@dataclass(frozen=True)
class Target:
    """A command and the files that it reads.

    Attributes:
        name: Name in the tables.
        tokens: Arguments of the command line.
        damaged: Files that are damaged, one at a time.
        rule: When a success is right. "content": the results are those of a clean file with the
            content that an independent reader finds. "exact": only if no byte has changed, because
            the file has a check sum. "same": if the results are those of the undamaged file.
        state: Arguments of a command whose results are there before.
        dropped: Files of the state that are deleted.
        trained: Whether the command trains, which takes seconds.
        reports: Whether it goes on after a damaged file, which it names.
        optional: Whether the file may be missing: those of a folder are found there.
        exempt: Patterns of results that differ from run to run.
    """

    name: str
    tokens: tuple[str, ...]
    damaged: tuple[str, ...]
    rule: Literal["content", "exact", "same"] = "content"
    state: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    trained: bool = False
    reports: bool = False
    optional: bool = False
    exempt: tuple[str, ...] = ()


def _predict(*tokens: str) -> tuple[str, ...]:
    return ("predict", *tokens, "-q", "--workers", "1", "--no-overlay", "-o", "out/maps")


def _convert(kind: str, *tokens: str, to: str = "coco") -> tuple[str, ...]:
    one = ("--processes", "1", "--out", "out/maps")
    return ("data", "convert", "--from", kind, *tokens, "--to", to, *one)


_SCORE = (
    *("score", _VAL, "in/other/predictions.json", "--truth-pngs", "in/val"),
    *("--processes", "1", "--json", "out/a.json"),
)
_SUBMIT = ("submit", "--image-info", "in/list.json", "--categories", _VAL, "--out", "out")
_PACK = (
    *(*_SUBMIT, "--split", "val", "--name", "ours", "--predictions", "in/other/predictions.json"),
    *("--prediction-pngs", "in/other"),
)
_MERGE = ("merge", "--image-info", "in/list.json", "--categories", _VAL, "--out", "out/m.json")
_RUN = ("train", "in/config.yaml", "--out", "out/run", "--train.evaluate-every", "0")
_JOURNAL = _predict("in/scenes/val", *_STREET, "--raw", "out/raw")

TARGETS = (
    Target(
        "score",
        (*_SCORE, "--prediction-pngs", "in/other"),
        (_VAL, "in/other/predictions.json", "in/val/000001.png", "in/other/000002.png"),
    ),
    Target("score zip", (*_SCORE, "--prediction-pngs", "in/other.zip"), ("in/other.zip",)),
    Target(
        "convert coco",
        _convert("coco", *_TRUTH, to="two-channel"),
        (_VAL, "in/val/000001.png"),
    ),
    Target(
        "convert coco zip",
        _convert("coco", *_TRUTH[:3], "in/val.zip", to="semantic-instance"),
        ("in/val.zip",),
    ),
    Target(
        "convert coco-instances",
        _convert("coco-instances", "--annotations", "in/things/instances.json"),
        ("in/things/instances.json",),
    ),
    Target(
        "convert coco-instances with classes",
        _convert(
            "coco-instances",
            *("--annotations", "in/things/instances.json", "--semantic", "in/things/semantic"),
            *("--categories", "in/things/index.json"),
        ),
        ("in/things/semantic/000001.png", "in/things/index.json"),
    ),
    Target(
        "convert two-channel",
        _convert("two-channel", "--pngs", "in/two/maps", "--categories", "in/two/index.json"),
        ("in/two/maps/000001.png", "in/two/index.json"),
        reports=True,
    ),
    Target(
        "convert semantic-instance",
        _convert(
            "semantic-instance",
            *("--semantic", "in/pairs/semantic", "--instances", "in/pairs/instances"),
            *("--categories", "in/pairs/index.json"),
        ),
        (
            *("in/pairs/semantic/000001.png", "in/pairs/instances/000002.png"),
            "in/pairs/index.json",
        ),
    ),
    *(
        Target(
            f"predict {kind}",
            _predict(f"in/photos/{kind}.{kind}", *_STREET),
            (f"in/photos/{kind}.{kind}",),
        )
        for kind in PHOTO_KINDS
    ),
    Target("predict zip", _predict("in/photos.zip", *_STREET), ("in/photos.zip",)),
    Target(
        "predict model",
        _predict("in/photos/png.png", "--model", "in/model"),
        ("in/model/model.json",),
    ),
    Target(
        "predict weights",
        _predict("in/photos/png.png", "--model", "in/model"),
        ("in/model/model.safetensors", "in/model/model.onnx"),
        rule="exact",
        optional=True,  # without the exported network, the weights are enough
    ),
    Target(
        "predict file",
        _predict("in/photos/png.png", "--model", "in/whole.onnx"),
        ("in/whole.onnx",),
        rule="exact",
        trained=True,
    ),
    Target(
        "predict resumed",
        _JOURNAL,
        ("out/maps/.predict.jsonl",),
        rule="same",
        state=_JOURNAL,
        dropped=("out/maps/predictions.json", "out/maps/000002.png"),
    ),
    Target(
        "merge-classes",
        (
            *("data", "merge-classes", *_TRUTH, "--mapping", "in/mapping.yaml"),
            *("--processes", "1", "--out", "out/merged"),
        ),
        ("in/mapping.yaml", _VAL),
    ),
    Target(
        "split",
        ("data", "split", *_TRUTH, "--parts", "train=2", "val=rest", "--out", "out/parts"),
        (_VAL,),  # PNGs are copied unread
    ),
    Target(
        "check",
        (
            *("data", "check", *_TRUTH, "--images", "in/scenes/val", "--processes", "1"),
            *("--json", "out/check.json"),
        ),
        (_VAL, "in/val/000001.png", "in/scenes/val/000002.png"),
    ),
    Target(
        "check instances",
        (
            *("data", "check", "--format", "coco-instances", "--processes", "1"),
            *("--annotations", "in/things/instances.json", "--images", "in/scenes/val"),
            *("--json", "out/check.json"),
        ),
        ("in/things/instances.json",),
    ),
    Target(
        "check fix",
        (
            *("data", "check", "--annotations", "in/val/broken.json", "--pngs", "in/val"),
            *("--images", "in/scenes/val", "--processes", "1", "--fix", "out/fixed"),
        ),
        ("in/val/broken.json", "in/val/000002.png"),
        reports=True,
    ),
    Target(
        "stats",
        ("data", "stats", *_TRUTH, "--processes", "1", "--json", "out/stats.json"),
        (_VAL, "in/val/000001.png"),
    ),
    Target(
        "data show",
        (
            *("data", "show", *_TRUTH, "--images", "in/scenes/val", "--count", "2"),
            *("--out", "out/board.png"),
        ),
        (_VAL, "in/val/000001.png", "in/scenes/val/000001.png"),
    ),
    Target(
        "show",
        (
            *("show", "in/scenes/val/000001.png", "in/val/000001.png", _VAL),
            *("--out", "out/look.png"),
        ),
        ("in/scenes/val/000001.png", "in/val/000001.png", _VAL),
    ),
    Target("submit", _PACK, ("in/list.json", "in/other/predictions.json", "in/other/000001.png")),
    Target(
        "submit --check",
        (*_SUBMIT[:-2], "--check", "in/packed/panoptic_val_ours_results.zip"),
        ("in/packed/panoptic_val_ours_results.zip",),
    ),
    Target(
        "merge arrays",
        (*_MERGE, "--instances", "in/raw", "--semantic", "in/raw"),
        ("in/list.json", "in/raw/000001.npz"),
    ),
    Target(
        "merge files",
        (*_MERGE, "--instances", "in/detections.json", "--semantic", "in/pairs/semantic"),
        ("in/detections.json", "in/pairs/semantic/000001.png"),
    ),
    Target(
        "compare",
        ("compare", "in/a.json", "in/b.json", "--json", "out/c.json", "--samples", "100"),
        ("in/a.json",),
    ),
    Target(
        "models",
        ("models", "in", "--json", "out/models.json"),
        ("in/model/model.json",),
        reports=True,
        optional=True,
    ),
    Target("describe", ("describe", "in/config.yaml"), ("in/config.yaml",), trained=True),
    Target(
        "plot", ("plot", "in/run", "--out", "out/p.png"), ("in/run/metrics.jsonl",), trained=True
    ),
    Target(
        "train",
        ("train", "in/config.yaml", "--out", "out/run", "--train.steps", "1"),
        ("in/config.yaml", "in/scenes/panoptic_train.json", "in/scenes/panoptic_train/000001.png"),
        trained=True,
        exempt=("run/metrics.jsonl", "run/plot.png"),  # seconds and memory
    ),
    Target(
        "train --extend",
        (*_RUN, "--extend", "--train.steps", "3"),
        ("out/run/checkpoint.pt",),
        rule="exact",
        state=(*_RUN, "--train.steps", "2"),
        trained=True,
        optional=True,  # without it, the training begins anew
    ),
)
"""All commands that read files."""


def complete(workshop: Workshop, *, trained: bool) -> None:
    """Add to the inputs of a workshop: photos of all formats, zips, models, results of others."""
    inputs = workshop.inputs
    _write_photos(inputs / "photos")
    for name in ("val", "other", "photos"):
        _pack(inputs / name, inputs / f"{name}.zip")
    content = json.loads((inputs / "val/predictions.json").read_text())
    (inputs / "list.json").write_text(json.dumps({"images": content["images"]}))
    results = list(_detections(inputs / "other"))
    (inputs / "detections.json").write_text(json.dumps(results))
    import jsisnet  # noqa: PLC0415  # where the built-in models are

    model = Path(jsisnet.__file__).with_name("weights") / "street"
    shutil.copytree(model, inputs / "model")
    packing = ["in/packed" if token == "out" else token for token in _PACK]
    exporting = ["export", "in/run", "--out", "in/whole.onnx"]
    for tokens in (packing, exporting)[: 2 if trained else 1]:
        ended = run(tokens, workshop.folder)
        if ended.code:
            raise SystemExit(f"jsisnet {' '.join(tokens)}: {ended.error}")


def _write_photos(folder: Path) -> None:
    folder.mkdir()
    rows, columns = np.mgrid[:48, :64]
    pixels = np.stack([rows * 5, columns * 3, (rows * columns) % 256], -1).astype(np.uint8)
    for kind in PHOTO_KINDS:
        Image.fromarray(pixels).save(folder / f"{kind}.{kind}")


def _pack(folder: Path, archive: Path) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as written:
        for path in sorted(folder.iterdir()):
            if path.suffix[1:] in PHOTO_KINDS:
                written.write(path, path.name)


def _detections(folder: Path) -> list[dict[str, object]]:
    """Return the things of panoptic predictions as COCO results."""
    found = []
    for annotation in json.loads((folder / "predictions.json").read_text())["annotations"]:
        png = np.array(Image.open(folder / annotation["file_name"])).astype(np.uint32)
        ids = png[..., 0] + 256 * png[..., 1] + 65536 * png[..., 2]
        for info in annotation["segments_info"]:
            if "score" in info:
                mask = np.asfortranarray((ids == info["id"]).astype(np.uint8))
                outline = hotcoco.mask.encode(mask)
                if isinstance(outline["counts"], bytes):
                    outline["counts"] = outline["counts"].decode()
                found.append(
                    {
                        "image_id": annotation["image_id"],
                        "category_id": info["category_id"],
                        "score": info["score"],
                        "segmentation": outline,
                    }
                )
    return found
