"""Trainings that are killed or interrupted at a random moment."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

import training_runs
from jsisnet.model import saved_model
from jsisnet.training.checkpoint import Checkpoint
from jsisnet.training.config import read_config

STEPS = 60

INTERRUPTIBLE = """
import signal, sys
from jsisnet.cli import main

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main())
"""
"""The command line with SIGINT enabled, even if the test process ignores it."""


@pytest.fixture
def config(tiny, tmp_path):
    return training_runs.write_config(tmp_path / "street.yaml", tiny, steps=STEPS)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_says_how_to_resume(config, tmp_path, number):
    folder = tmp_path / "run"
    command = [sys.executable, "-c", INTERRUPTIBLE, "train", str(config), "--out", str(folder)]
    alone = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, env=alone, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_for(folder / "checkpoint.pt")
        process.send_signal(number)
        _, said = process.communicate(timeout=300)

    assert process.returncode == 128 + number
    assert said == (
        "jsisnet: interrupted; to resume from the last checkpoint: "
        f"jsisnet train {config} --out {folder} --resume\n"
    )
    assert_whole(folder)


def wait_for(path):
    end = time.monotonic() + 300
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.01)


def assert_whole(folder):
    """Check that all files of a run are complete; temporary ones are hidden."""
    read_config(folder / "config.yaml")
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        json.loads(line)
    if (folder / "model.json").exists():
        saved_model.read(folder)
    if (folder / "checkpoint.pt").exists():
        saved_model.read(folder)
        Checkpoint.load(folder / "checkpoint.pt")
