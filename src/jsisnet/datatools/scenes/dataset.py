"""Data sets of generated scenes in COCO panoptic format."""

import json
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path

from jsisnet.datatools.scenes.layout import CATEGORIES
from jsisnet.datatools.scenes.scene import Scene
from jsisnet.files.atomic import holds_files, lock_folder, replacing
from jsisnet.files.photos import write_picture
from jsisnet.formats import coco

SPLITS = ("train", "val")
"""Folders of the photos; ``panoptic_SPLIT.json`` and the folder of the maps are beside them."""

SETTINGS = "scenes.json"
"""File with the settings of the scenes in a folder; only equal scenes may be added."""

_VERSION = 1
"""Version of the generator; to be increased when any pixel changes."""


def write_scenes(
    folder: Path,
    counts: tuple[int, int],
    size: tuple[int, int],
    *,
    seed: int = 0,
    on_scene: Callable[[int, int], object] | None = None,
) -> None:
    """Write a data set of scenes for training and validation.

    A scene depends only on the seed, the split, its index and the size. Existing photos are kept,
    so that an interrupted run resumes and more scenes can be added later. Photos are PNGs, so that
    their pixels do not depend on the decoder.

    Args:
        folder: Folder to write; it may hold scenes of the same seed and size already.
        counts: Numbers of training and validation scenes.
        size: Height and width in pixels.
        seed: Random seed.
        on_scene: Called with the numbers of scenes done and in total.

    Raises:
        ValueError: If a number or the size is out of range, the folder holds other files, or
            another process is writing to it.
    """
    if seed < 0 or min(counts) < 0 or sum(counts) < 1:
        raise ValueError(
            f"found {counts[0]} and {counts[1]} scenes with seed {seed}; "
            "expected 0 or more for each, and at least one scene"
        )
    Scene((seed, 0, 0), size)
    with lock_folder(folder):
        _claim_folder(folder, {"version": _VERSION, "seed": seed, "size": list(size)})
        done = count(1)
        for number, (split, scenes) in enumerate(zip(SPLITS, counts, strict=True)):
            _write_split(
                folder / split,
                folder / f"panoptic_{split}.json",
                (Scene((seed, number, index), size) for index in range(scenes)),
                lambda: on_scene and on_scene(next(done), sum(counts)),
            )


def _write_split(
    photos: Path, annotations: Path, scenes: Iterable[Scene], on_scene: Callable[[], object]
) -> None:
    photos.mkdir(exist_ok=True)
    with coco.writing(annotations, CATEGORIES) as writer:
        for number, scene in enumerate(scenes, 1):
            name = f"{number:06}.png"
            writer.add(scene.panoptic(), image_id=number, image_name=name)
            if not (photos / name).exists():
                write_picture(scene.photo(), photos / name)
            on_scene()


def _claim_folder(folder: Path, settings: dict[str, object]) -> None:
    """Write the settings into a new folder, or compare them with those in it.

    Raises:
        ValueError: If the folder holds anything but scenes with these settings.
    """
    path = folder / SETTINGS
    if path.is_file():
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            held = "invalid JSON"
        if held != settings:
            raise ValueError(f"{path}: found {held}; expected {settings}; choose another folder")
        return
    if holds_files(folder):
        raise ValueError(f"{folder}: not empty; expected an empty or new folder")
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(settings) + "\n", encoding="utf-8")
