import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from jsisnet.datatools.scenes.dataset import SETTINGS, write_scenes
from jsisnet.datatools.scenes.layout import CATEGORIES
from jsisnet.datatools.scenes.scene import Scene
from jsisnet.files.atomic import lock_folder
from jsisnet.formats import coco

SIZE = (32, 48)


def contents(folder):
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_the_same_seed_writes_the_same_bytes(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_scenes(tmp_path / name, (3, 2), SIZE, seed=seed)

    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a") != contents(tmp_path / "c")


def test_a_scene_does_not_depend_on_the_number_of_scenes(tmp_path):
    write_scenes(tmp_path / "few", (2, 1), SIZE)
    write_scenes(tmp_path / "many", (4, 3), SIZE)
    few, many = contents(tmp_path / "few"), contents(tmp_path / "many")

    pictures = [name for name in few if name.endswith(".png")]
    assert len(pictures) == 6
    assert all(few[name] == many[name] for name in pictures)


def test_scenes_can_be_added_later(tmp_path):
    write_scenes(tmp_path / "grown", (2, 1), SIZE)
    write_scenes(tmp_path / "grown", (4, 3), SIZE)
    write_scenes(tmp_path / "new", (4, 3), SIZE)

    assert contents(tmp_path / "grown") == contents(tmp_path / "new")


def test_training_and_validation_differ(tmp_path):
    write_scenes(tmp_path / "a", (1, 1), SIZE)

    photos = [(tmp_path / "a" / split / "000001.png").read_bytes() for split in ("train", "val")]
    assert photos[0] != photos[1]


def test_written_scenes_can_be_read_back(tmp_path):
    write_scenes(tmp_path / "a", (0, 2), SIZE, seed=7)
    path = tmp_path / "a" / "panoptic_val.json"

    truth = coco.read_annotations(path, images=tmp_path / "a" / "val")

    assert truth.categories == CATEGORIES
    for index, annotation in enumerate(truth.annotations):
        scene = Scene((7, 1, index), SIZE)
        panoptic = coco.read_png(annotation, CATEGORIES)
        assert np.array_equal(panoptic.ids, scene.panoptic().ids)
        assert panoptic.segments == scene.panoptic().segments
        assert np.array_equal(np.asarray(Image.open(annotation.image)), scene.photo())


def test_a_killed_run_resumes_without_painting_again(tmp_path):
    program = (
        "import os; from pathlib import Path;"
        "from jsisnet.datatools.scenes.dataset import write_scenes\n"
        f"write_scenes(Path({str(tmp_path / 'a')!r}), (4, 1), {SIZE},"
        " on_scene=lambda done, _: os._exit(9) if done == 3 else None)"
    )
    killed = subprocess.run([sys.executable, "-c", program], check=False)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "a" / "train").iterdir()}
    assert killed.returncode == 9
    assert len(before) == 3
    assert not list((tmp_path / "a").glob("panoptic_*.json"))

    write_scenes(tmp_path / "a", (4, 1), SIZE)
    write_scenes(tmp_path / "b", (4, 1), SIZE)

    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_scenes_of_another_seed_are_refused(tmp_path):
    write_scenes(tmp_path / "a", (1, 0), SIZE)

    with pytest.raises(ValueError, match=r"scenes\.json: found .* expected .*'seed': 1"):
        write_scenes(tmp_path / "a", (1, 0), SIZE, seed=1)


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")

    with pytest.raises(ValueError, match="not empty; expected"):
        write_scenes(tmp_path, (1, 0), SIZE)
    assert contents(tmp_path) == {"mine.txt": b"mine"}


def test_two_processes_do_not_write_to_one_folder(tmp_path):
    def begin_again(*_):
        with pytest.raises(ValueError, match="another command is writing to it"):
            write_scenes(tmp_path, (1, 0), SIZE)

    write_scenes(tmp_path, (1, 0), SIZE, on_scene=begin_again)

    write_scenes(tmp_path, (2, 0), SIZE)
    assert len(list((tmp_path / "train").iterdir())) == 2


@pytest.mark.parametrize(("counts", "seed"), [((-1, 2), 0), ((0, 0), 0), ((1, 1), -1)])
def test_invalid_numbers_are_refused_before_anything_is_written(tmp_path, counts, seed):
    with pytest.raises(ValueError, match="expected 0 or more"):
        write_scenes(tmp_path / "a", counts, SIZE, seed=seed)
    assert not (tmp_path / "a").exists()


def test_progress_counts_all_scenes(tmp_path):
    calls = []

    write_scenes(tmp_path / "a", (2, 1), SIZE, on_scene=lambda *call: calls.append(call))

    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_the_settings_are_written_into_the_folder(tmp_path):
    write_scenes(tmp_path / "a", (1, 0), SIZE, seed=3)

    held = json.loads((tmp_path / "a" / "scenes.json").read_text())
    assert held == {"version": 1, "seed": 3, "size": [32, 48]}


def test_a_folder_that_is_written_to_is_left_alone(tmp_path):
    with lock_folder(tmp_path / "a"), pytest.raises(ValueError, match="another command is writing"):
        write_scenes(tmp_path / "a", (1, 0), SIZE)

    assert not (tmp_path / "a" / SETTINGS).exists()
