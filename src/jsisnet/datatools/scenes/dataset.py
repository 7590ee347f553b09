"""Generated scenes as a data set in COCO's panoptic format."""

import json
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path

from jsisnet.datatools.scenes.layout import CATEGORIES
from jsisnet.datatools.scenes.scene import Scene
from jsisnet.files.atomic import lock_folder, remove_leftovers, replacing
from jsisnet.files.photos import write_picture
from jsisnet.formats import coco

SPLITS = ("train", "val")
"""Folders of photos; beside each lies its ``panoptic_NAME.json`` and the folder of the maps."""

SETTINGS = "scenes.json"
"""File that says what the folder holds, so that only the same is added to it."""

_VERSION = 1
"""Of the way scenes are drawn; changes with any pixel of one."""


def write_scenes(
    folder: Path,
    counts: tuple[int, int],
    size: tuple[int, int],
    *,
    seed: int = 0,
    on_scene: Callable[[int, int], object] | None = None,
) -> None:
    """Write scenes to train and to validate on.

    A scene depends on the seed, the split, its number and the size alone. Photos that are there
    already are not painted again: who is stopped can go on, and more scenes can be added later.
    Photos are PNGs, so that their pixels do not depend on a decoder.

    Args:
        folder: Where to write; it may hold scenes of the same seed and size.
        counts: Number of scenes of each split.
        size: Height and width in pixels.
        seed: Decides all chance.
        on_scene: Called after each scene with the numbers of scenes done and in total.

    Raises:
        ValueError: If a number is too low, a side is too short or too long, the folder holds
            something else, or another process is writing to it.
    """
    if seed < 0 or min(counts) < 0 or sum(counts) < 1:
        raise ValueError(
            f"{counts[0]} and {counts[1]} scenes with seed {seed}; "
            "expected 0 or more of each number, and a scene at least"
        )
    Scene((seed, 0, 0), size)
    _claim(folder, {"version": _VERSION, "seed": seed, "size": list(size)})
    with lock_folder(folder):
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
    for used in (photos.parent, photos, annotations.with_suffix("")):
        remove_leftovers(used)
    with coco.writing(annotations, CATEGORIES) as writer:
        for number, scene in enumerate(scenes, 1):
            name = f"{number:06}.png"
            writer.add(scene.panoptic(), image_id=number, image_name=name)
            if not (photos / name).exists():
                write_picture(scene.photo(), photos / name)
            on_scene()


def _claim(folder: Path, settings: dict[str, object]) -> None:
    """Mark a folder as one of scenes.

    Raises:
        ValueError: If it holds anything but scenes with these settings.
    """
    path = folder / SETTINGS
    if path.is_file():
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            held = "something unreadable"
        if held != settings:
            raise ValueError(f"{path}: holds {held}, expected {settings}; choose another folder")
        return
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ValueError(f"{folder} holds something else already; expected an empty or new folder")
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(settings) + "\n", encoding="utf-8")
