"""`predict` is killed at random moments; its results are those of an uninterrupted run."""

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import toy_engine
from jsisnet.inference.results_folder import JOURNAL

KILLS = 6
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
SUPPORT = Path(toy_engine.__file__).parent


@pytest.fixture
def command(tmp_path):
    """Return a function that starts the command in a process of its own."""
    toy_engine.write_package(tmp_path / "site")
    photos = tmp_path / "photos"
    photos.mkdir()
    random_numbers = np.random.default_rng(0)
    for number in range(40):
        pixels = random_numbers.integers(0, 256, (32, 48, 3), np.uint8)
        Image.fromarray(pixels).save(photos / f"{number:02}.png")
    paths = [str(tmp_path / "site"), str(SUPPORT), *sys.path]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}

    def started(out, *options):
        words = ["predict", str(photos), "-o", str(out), "-q", "--model", "toy-0.03"]
        return subprocess.Popen(
            [sys.executable, "-m", "jsisnet", *words, "--engine", "toy", *options],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )

    return started


def contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != JOURNAL)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_killed_prediction_resumes_to_the_same_files(command, tmp_path, workers):
    options = ("--format", "coco,labelme,cvat", "--workers", workers)
    whole = command(tmp_path / "whole", *options[:2])
    assert whole.communicate() == (None, "")
    moments = random.Random(7)
    killed, sent = 0, None

    while killed < KILLS:
        process = command(tmp_path / "killed", *options)
        try:
            process.wait(moments.uniform(0.3, 1.2))
        except subprocess.TimeoutExpired:
            killed += 1
            process.send_signal(sent := moments.choice(SIGNALS))
        _, error = process.communicate()
        if process.returncode == 0:  # it was faster than the signal
            shutil.rmtree(tmp_path / "killed")
        elif sent != signal.SIGKILL:  # after which a worker that was being started complains
            assert error == "" or "interrupted" in error
    last = command(tmp_path / "killed", *options)

    assert last.communicate() == (None, "")
    assert last.returncode == 0
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
