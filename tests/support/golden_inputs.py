"""Write input files of the golden record that no command writes.

    python golden_inputs.py inputs SCENES INSTANCES CHANNELS OUT
    python golden_inputs.py even RUN RUN OUT

The first one writes settings, photos, invalid files and inexact predictions, from generated scenes
and two conversions of them. The second one copies runs with fixed times and memory.
"""

import json
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SETTINGS = {
    "short.yaml": """
base: tiny.yaml
root: scenes
train: {steps: 20, batch_size: 2, checkpoint_every: 10, evaluate_every: 10, log_every: 2,
  pictures: 2}
""",
    "mixed.yaml": """
base: short.yaml
more_data:
  outlines: {images: train, annotations: ../inputs/outlines.json, kind: coco-instances, weight: 0.5}
  vistas: {root: ../inputs/vistas, images: training/images, annotations: training, kind: vistas,
    trusted: semantic}
optim: {average: 0.9, schedule: step, milestones: [2]}
train: {steps: 4, evaluate_every: 0, workers: 0}
""",
    "classes.yaml": """
toy: [ball, ring]
ground: {members: [tree, sand, grass], isthing: false}
void: [sky]
""",
}
"""Small YAML files."""


def make_inputs(scenes: Path, instances: Path, channels: Path, *, out: Path) -> None:
    """Write settings, invalid files and inexact predictions."""
    for name in ("shifted", "boxes", "logits"):
        (out / name).mkdir()
    for name, text in SETTINGS.items():
        write(out / name, text.encode())
    copy_photos(out / "photos")
    write(out / "broken.png", (scenes / "val/000001.png").read_bytes()[:1000])
    with zipfile.ZipFile(out / "maps.zip", "w") as archive:
        for path in sorted((scenes / "panoptic_val").iterdir()):
            archive.writestr(zipfile.ZipInfo(path.name), path.read_bytes())
    val, train = (read(scenes / f"panoptic_{part}.json") for part in ("val", "train"))
    write(out / "empty.json", val | {"annotations": []})
    introduce_errors(val)
    write(out / "faults.json", val)
    write_vistas(train["categories"], scenes, channels, out=out / "vistas")
    write_regions(train, read(instances / "instances.json"), out)
    for path in sorted((scenes / "panoptic_train").iterdir()):
        rolled = np.roll(np.array(Image.open(path)), (1, 2), (0, 1))
        Image.fromarray(rolled).save(out / "shifted" / path.name)
        classes = np.array(Image.open(instances / "semantic" / path.name))[::2, ::2]
        logits = [4.0 * (classes == each["id"]) + each["id"] / 99 for each in train["categories"]]
        np.savez(out / "logits" / f"{path.stem}.npz", array=np.array(logits, np.float32))
    for annotation in train["annotations"]:
        for number, info in enumerate(annotation["segments_info"]):
            info.update({"iscrowd": 0} | ({"score": 1 - number / 20} if info["isthing"] else {}))
    mistaken = train["annotations"][3]["segments_info"]
    mistaken[0]["category_id"], mistaken[3]["category_id"] = 13, 3  # classes that it hasn't
    write(out / "shifted.json", train)
    train["annotations"][2]["segments_info"][0]["category_id"] = 999
    write(out / "partial.json", train | {"annotations": train["annotations"][:-1]})


def copy_photos(out: Path) -> None:
    """Copy the photos of scikit-image."""
    package = find_spec("skimage")
    assert package is not None
    for name in ("astronaut.png", "chelsea.png", "coffee.png"):
        write(out / name, Path(str(package.origin)).with_name("data").joinpath(name).read_bytes())


def introduce_errors(content: dict[str, Any]) -> None:
    """Violate some rules of the format."""
    content["images"].append({"id": 9, "file_name": "gone.png", "height": 128, "width": 192})
    content["categories"][1]["color"] = content["categories"][0]["color"]
    first, second, third, fourth = (each["segments_info"] for each in content["annotations"])
    first[0]["area"] += 5
    second.append(second[0])
    third[1]["category_id"] = 99
    fourth.pop()
    content["annotations"].append(5)


def write_vistas(
    categories: list[dict[str, Any]], scenes: Path, channels: Path, *, out: Path
) -> None:
    """Write two scenes as a split of Mapillary Vistas, from their two-channel maps."""
    named = {each["id"]: each for each in categories}
    labels = [
        {"name": f"label--{number}", "readable": named.get(number, {}).get("name", str(number))}
        | {"instances": number in named and bool(named[number]["isthing"])}
        | {"evaluate": number in named and named[number]["name"] != "water"}
        for number in range(max(named) + 1)
    ]
    for name in ("images", "instances"):
        (out / "training" / name).mkdir(parents=True)
    for name in ("000001.png", "000002.png"):
        photo = (out / "training/images" / name).with_suffix(".jpg")
        Image.open(scenes / "train" / name).save(photo)
        red, green, _ = np.moveaxis(np.array(Image.open(channels / "maps" / name)), 2, 0)
        Image.fromarray(256 * red.astype(np.uint16) + green).save(out / "training/instances" / name)
    write(out / "config.json", {"labels": labels})


def write_regions(truth: dict[str, Any], instances: dict[str, Any], out: Path) -> None:
    """Write regions with masks, with outlines, and with probabilities on a grid."""
    things = [each for each in instances["annotations"] if not each["iscrowd"]]
    outlines = [each | {"segmentation": [corners(each["bbox"])]} for each in things]
    write(out / "outlines.json", instances | {"annotations": outlines})
    pairs = enumerate(zip(things, outlines, strict=True))
    scored = [pair[index % 2] | {"score": 1 - index % 9 / 10} for index, pair in pairs]
    write(out / "instances.json", scored)
    stuff = [
        {"image_id": each["image_id"], "category_id": info["category_id"], "score": 1.0}
        | {"segmentation": [corners(info["bbox"])]}
        for each in truth["annotations"]
        for info in each["segments_info"]
        if not info["isthing"]
    ]
    write(out / "stuff.json", stuff)
    for image in truth["images"]:
        found = [each for each in scored if each["image_id"] == image["id"]]
        bump = 1.2 - np.hypot(*np.mgrid[-1:1:14j, -1:1:14j])
        np.savez(
            out / "boxes" / f"{Path(image['file_name']).stem}.npz",
            boxes=np.array([corners(each["bbox"]) for each in found])[:, [0, 1, 4, 5]],
            category_ids=np.array([each["category_id"] for each in found]),
            scores=np.array([each["score"] for each in found]),
            masks=np.stack([bump.clip(0, 1)] * len(found)),
        )


def corners(bbox: list[float]) -> list[float]:
    """Return the outline of a box."""
    x, y, width, height = bbox
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def read(path: Path) -> dict[str, Any]:
    """Read a JSON file."""
    content: dict[str, Any] = json.loads(path.read_bytes())
    return content


def write(path: Path, content: object) -> None:
    """Write a file as it is, or an object as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())


def even_out(*runs: Path, out: Path) -> None:
    """Copy runs with fixed times and memory, so that their curves are always the same."""
    for run in runs:
        lines = (run / "metrics.jsonl").read_bytes().splitlines()
        even = [e | {"seconds": e["step"] / 2, "memory": 1000.0} for e in map(json.loads, lines)]
        write(out / run.name / "metrics.jsonl", "\n".join(map(json.dumps, even)).encode() + b"\n")


def main() -> None:
    """Write the inputs that the arguments name."""
    kind, *folders, out = sys.argv[1:]
    if kind == "inputs":
        make_inputs(*map(Path, folders), out=Path(out))
    else:
        even_out(*map(Path, folders), out=Path(out))


if __name__ == "__main__":
    main()
