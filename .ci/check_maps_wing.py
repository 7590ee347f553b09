"""Check an environment with `pip install .` alone: run as ENVIRONMENT/bin/python THIS_FILE.

PyTorch must be absent, the environment small, every command of the maps wing must work on
generated data, and the commands that need more must say what to install.
"""

import json
import subprocess
import sys
import sysconfig
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

LIMIT = 260
"""Megabytes (10**6 bytes) that site-packages may take, without the `TOOLS`."""

TOOLS = ("pip", "setuptools", "pkg_resources")
"""Packages that a new environment may have already."""

WITHOUT = ("torch", "torchvision", "timm", "lightning_fabric", "torchmetrics", "matplotlib")
"""Packages that must be absent."""


def main() -> None:
    """Run all checks, print a summary, and exit with 1 at the first failure."""
    began = time.perf_counter()
    present = [name for name in WITHOUT if find_spec(name) is not None]
    require(not present, f"installed, but should not be: {', '.join(present)}")
    packages = Path(sysconfig.get_path("purelib"))
    size = megabytes(packages) - sum(megabytes(packages / name) for name in TOOLS)
    require(size <= LIMIT, f"site-packages takes {size:.0f} MB; expected at most {LIMIT} MB")
    with tempfile.TemporaryDirectory() as folder:
        works, refusals = check_commands(Path(folder))
    seconds = time.perf_counter() - began
    print(
        f"maps wing: {size:.0f} MB, {works} commands work and {refusals} say what to install "
        f"({seconds:.0f} s)"
    )


def check_commands(folder: Path) -> tuple[int, int]:
    """Run the commands; return how many work and how many say what to install."""
    scenes, val = folder / "scenes", folder / "scenes/panoptic_val.json"
    photos, truth = ("--images", scenes / "val"), ("--annotations", val)
    things, stuff = folder / "things.json", folder / "stuff"
    inputs = ("--image-info", val, "--instances", things, "--semantic", stuff)
    works: list[tuple[object, ...]] = [
        ("--help",),
        ("--version",),
        ("data", "generate", "--out", scenes, "--train", 6, "--val", 6, "--size", "64x96"),
        ("data", "check", *photos, *truth, "--json", folder / "check.json"),
        ("data", "check", *photos, *truth, "--fix", folder / "fixed"),
        ("data", "stats", *photos, *truth, "--out", folder / "stats"),
        ("data", "show", *photos, *truth, "--count", 2, "--out", folder / "look.png"),
        ("data", "split", *truth, "--out", folder / "parts", "--parts", "a=0.5", "b=rest"),
        ("data", "merge-classes", *truth, "--by", "supercategory", "--out", folder / "merged"),
        *conversions(folder, val),
        *scoring(folder, scenes, val),
        (write_predictions, val, things, stuff),
        ("merge", *inputs, "--rules", "kirillov", "--out", folder / "kirillov.json"),
        ("merge", *inputs, "--rules", "jsisnet", "--out", folder / "jsisnet.json"),
        ("submit", "--image-info", val, "--predictions", val, *naming(), "--out", folder),
        ("submit", "--image-info", val, "--check", folder / "panoptic_val_x_results.zip"),
        *predictions(folder, scenes),
    ]
    for command in works:
        run(*command)
    refusals: list[tuple[object, ...]] = [
        ("train", "config.yaml"),
        ("evaluate", *photos, *truth, "--engine", "torch"),
        ("plot", "run"),
        ("describe", "coco"),
        ("show-batch", "config.yaml"),
        ("reproduce", "table2", "--tiny"),
    ]
    for command in refusals:
        refused(*command)
    return len(works), len(refusals)


def naming() -> tuple[str, ...]:
    """Return options that name an archive."""
    return ("--split", "val", "--name", "x")


def conversions(folder: Path, val: Path) -> list[tuple[object, ...]]:
    """Return conversions from COCO to each other format, and back from one."""
    there = [
        ("data", "convert", "--from", "coco", "--annotations", val, "--to", kind)
        for kind in ("coco", "coco-instances", "two-channel", "cityscapes")
    ]
    commands = [(*command, "--out", folder / f"to_{command[-1]}") for command in there]
    instances = folder / "to_coco-instances/instances.json"
    back = ("data", "convert", "--from", "coco-instances", "--annotations", instances)
    return [*commands, (*back, "--out", folder / "back")]


def scoring(folder: Path, scenes: Path, val: Path) -> list[tuple[object, ...]]:
    """Return commands that score, compare and draw."""
    tables = ("--csv", folder / "classes.csv", "--images-csv", folder / "images.csv")
    report = ("--report", folder / "report", "--images", scenes / "val")
    lenient = ("--missing-as-void", "--recount-areas", "--keep-going", "--boundary")
    a, b = folder / "a.json", folder / "b.json"
    photo, png = scenes / "val/000001.png", val.with_suffix("") / "000001.png"
    return [
        ("score", val, val, "--json", a, *tables, *report),
        ("score", val, val, "--json", b, "--mode", "strict", *lenient),
        ("score", val, val, "--mode", "all-crowds", "--processes", 1),
        ("compare", a, a, "--json", folder / "difference.json", "--csv", folder / "d.csv"),
        ("show", photo, png, val, "--out", folder / "map.jpg"),
    ]


def predictions(folder: Path, scenes: Path) -> list[tuple[object, ...]]:
    """Return commands that run the built-in models, with ONNX Runtime alone."""
    photo, out = scenes / "val/000001.png", folder / "predicted"
    own = ("--merge.canvas", "original", "--min-score", 0.3)
    # The scenes have other classes than the model, so its own maps serve as the truth.
    truth = ("--annotations", folder / "two/predictions.json", "--pngs", folder / "two")
    return [
        ("predict", photo, "--out", out),
        ("predict", scenes / "val", "--out", folder / "street", "--model", "street", *own),
        ("predict", scenes / "val", "--out", folder / "two", "--workers", 2),
        ("demo", photo, "--out", folder / "demo"),
        ("show", photo, out / "000001.png", out / "predictions.json", "--out", folder / "b.jpg"),
        ("models",),
        ("evaluate", "--images", scenes / "val", *truth, "--out", folder / "measured"),
    ]


def write_predictions(val: Path, things: Path, stuff: Path) -> None:
    """Write semantic PNGs without stuff, and no instances."""
    things.write_text("[]")
    stuff.mkdir()
    for image in json.loads(val.read_text())["images"]:
        pixels = np.full((image["height"], image["width"]), 255, np.uint8)
        Image.fromarray(pixels).save(stuff / f"{Path(image['file_name']).stem}.png")


def run(*command: object) -> None:
    """Run a command, or call a function with arguments, and require success."""
    if callable(command[0]):
        command[0](*command[1:])
        return
    done = jsisnet(*command)
    require(done.returncode == 0, f"{words(command)}: exit code {done.returncode}\n{done.stderr}")


def refused(*command: object) -> None:
    """Require that a command says in one sentence what to install."""
    done = jsisnet(*command)
    lines = done.stderr.splitlines()
    clear = len(lines) == 1 and "not installed: pip install 'jsisnet[" in lines[0]
    require(done.returncode != 0 and clear, f"{words(command)}: expected advice\n{done.stderr}")


def jsisnet(*command: object) -> subprocess.CompletedProcess[str]:
    """Run `jsisnet` with this interpreter, away from the checkout."""
    program = [sys.executable, "-m", "jsisnet", *map(str, command)]
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(program, capture_output=True, text=True, check=False, cwd=folder)


def words(command: tuple[object, ...]) -> str:
    """Return a command as typed."""
    return " ".join(("jsisnet", *map(str, command)))


def megabytes(folder: Path) -> float:
    """Return the size of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def require(holds: bool, message: str) -> None:
    """Exit with a message unless a condition holds."""
    if not holds:
        sys.exit(f"maps wing: {message}")


if __name__ == "__main__":
    main()
