"""The command on a cluster of this machine, one of whose workers is killed."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import toy_engine
from jsisnet.inference.batch import predict_photos
from jsisnet.inference.photo_files import find_photos
from jsisnet.inference.predictor import Predictor

GREEN = (0, 255, 0)
"""Colour on which the toy engine kills its process the first time."""


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.slow
def test_a_killed_worker_and_a_bad_photo_cost_no_other_result(tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="needs the extra scale")
    monkeypatch.chdir(tmp_path)
    toy_engine.write_package(tmp_path / "site")
    (tmp_path / "photos").mkdir()
    for number in range(1, 7):
        pixels = np.full((20, 30, 3), 200, np.uint8)
        pixels[:number, 3:20] = 250, 0, 0
        if number == 3:
            pixels[:] = GREEN
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    (tmp_path / "photos" / "bad.png").write_bytes(b"nothing")
    paths = [str(tmp_path / "site"), *sys.path]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "TOY_BOMB": str(tmp_path / "exploded"),
    }
    command = [sys.executable, "-m", "jsisnet", "predict", "photos", "-o", "out", "--model", "toy"]
    command += ["--engine", "toy", "--cluster", "local", "--workers", "1", "-q"]

    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=100, check=False
    )

    predict_photos(find_photos(["photos"]).photos, Predictor(toy_engine.Toy()), tmp_path / "whole")
    lost, bad = done.stderr.splitlines()
    assert done.returncode == 1
    assert "a worker process ended unexpectedly" in lost
    assert bad.startswith("jsisnet: photos/bad.png: ")
    assert (tmp_path / "exploded").exists()
    assert len(list((tmp_path / "out").glob("?.png"))) == 6
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
