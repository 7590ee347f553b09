"""Trainings of two processes with gloo."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

import factories
import training_runs
from factories import ROAD, SKY
from jsisnet.formats import coco
from jsisnet.model import saved_model
from jsisnet.training.checkpoint import Checkpoint
from jsisnet.training.config import read_config, to_yaml

ALIKE = shlex.split(
    "--network.trunk.freeze-norm --network.trunk.norm group --network.semantic.norm group"
)
"""Options without batch normalisation, whose statistics differ between processes."""

PYRAMID = shlex.split(
    "--network.trunk.neck pyramid --network.semantic.method fpn --network.roi.head fpn "
    "--network.roi.mask-crop 7 "
    + " ".join(f"--network.anchors.sizes {size}" for size in (8, 16, 32, 64, 128))
)
"""Methods that read maps of several strides."""


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Return settings with two photos; in each step one process has the photo without things."""
    folder = tmp_path_factory.mktemp("distributed")
    data = factories.tiny_dataset(folder / "data", count=2)
    rows = np.repeat([1, 2], 32)[:, None] * np.ones((1, 96), int)
    empty = factories.panoptic_map(rows.tolist(), factories.segment(SKY), factories.segment(ROAD))
    with coco.writing(data.annotations, factories.CATEGORIES) as writer:
        for number, panoptic in enumerate((factories.tiny_map(0), empty)):
            name = f"street{number}{factories.SUFFIXES[number]}"
            writer.add(panoptic, image_id=number, image_name=name)
    path = training_runs.write_config(folder / "street.yaml", data, steps=4)
    settings = read_config(path)
    settings = replace(settings, train=replace(settings.train, evaluate_every=2, log_every=1))
    path.write_text(to_yaml(settings))
    return path


def trained(config, folder, *options):
    """Train in new processes and return the lines of the metrics."""
    command = [sys.executable, "-m", "jsisnet", "train", str(config), "--out", str(folder)]
    done = subprocess.run(
        [*command, *ALIKE, *options],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_two_processes_train_and_evaluate_like_one(config, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"

    alone = trained(config, one)
    together = trained(config, two, "--devices.count", "2")

    assert [entry["step"] for entry in together] == [entry["step"] for entry in alone]
    assert together[0]["terms"] == pytest.approx(alone[0]["terms"], rel=1e-5, abs=1e-7)
    assert together[0]["gradient"] == pytest.approx(alone[0]["gradient"], rel=1e-4)
    for ours, theirs in zip(together, alone, strict=True):
        # Rounding differs, and grows from step to step.
        if "terms" in theirs:
            assert ours["total"] == pytest.approx(theirs["total"], rel=1e-2)
        else:
            assert ours["validation"]["all"] == pytest.approx(theirs["validation"]["all"], abs=2.0)
    states = [Checkpoint.load(folder / "checkpoint.pt").network for folder in (two, one)]
    for name, value in states[1].items():
        torch.testing.assert_close(states[0][name], value, rtol=0.05, atol=1e-3)
    assert saved_model.read(two).config == saved_model.read(one).config


@pytest.mark.slow
def test_two_processes_take_a_step_of_a_pyramid_like_one(config, tmp_path):
    short = ["--train.steps", "1", "--train.evaluate-every", "0", *PYRAMID]

    alone, *_ = trained(config, tmp_path / "one", *short)
    together, *_ = trained(config, tmp_path / "two", "--devices.count", "2", *short)

    assert together["terms"] == pytest.approx(alone["terms"], rel=1e-5, abs=1e-7)
    assert together["gradient"] == pytest.approx(alone["gradient"], rel=1e-4)


@pytest.mark.slow
def test_an_error_in_one_process_ends_both(config, tmp_path):
    shutil.copytree(config.parent / "data", tmp_path / "data")
    (tmp_path / "data" / "photos" / "street1.png").write_text("no photo")
    command = [sys.executable, "-m", "jsisnet", "train", str(config), "--devices.count", "2"]

    done = subprocess.run(
        [*command, "--out", str(tmp_path / "run"), "--root", str(tmp_path / "data"), *ALIKE],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 1
    reasons = [line for line in done.stderr.splitlines() if "another process" not in line]
    assert len(reasons) == 1, done.stderr
    assert "street1.png: can't be read as an image" in reasons[0]


def assert_empty(group):
    """Check that no process of a group is left; dead ones may need a moment to disappear."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("a process is left")


@pytest.mark.slow
def test_a_stopped_training_leaves_no_process(config, tmp_path):
    command = [sys.executable, "-m", "jsisnet", "train", str(config), "--devices.count", "2"]
    endless = ["--train.steps", "9999", "--train.evaluate-every", "0", "--train.workers", "1"]
    with subprocess.Popen(
        [*command, *endless, "--out", str(tmp_path / "run"), *ALIKE],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as first:
        assert first.stdout.readline().startswith("step 1/")
        first.terminate()
        _, said = first.communicate(timeout=60)

    assert first.returncode == 128 + signal.SIGTERM
    assert said.startswith("jsisnet: interrupted; to resume from the last checkpoint")
    assert said.count("\n") == 1
    assert_empty(first.pid)
