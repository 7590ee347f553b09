"""A training that is killed again and again."""

import multiprocessing
import random
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import training_runs
from jsisnet.model.saved_model import WEIGHTS
from jsisnet.training.config import RunConfig, read_config
from jsisnet.training.metrics_file import METRICS, read_entries
from jsisnet.training.run_folder import CHECKPOINT
from jsisnet.training.trainer import train

KILLS = 4
STEPS = 16


@pytest.fixture
def settings(tiny, tmp_path) -> RunConfig:
    config = read_config(training_runs.write_config(tmp_path / "street.yaml", tiny, steps=STEPS))
    pace = replace(config.train, log_every=1, checkpoint_every=2)
    average = replace(config.optim, average=0.9)
    return replace(config, validation=None, optim=average, train=pace)


def train_or_resume(settings: RunConfig, folder: Path) -> None:
    torch.set_num_threads(1)  # with several threads, the order of sums may differ
    train(settings, out=folder, resume=True)


def steps_of(folder: Path) -> int:
    path = folder / METRICS
    entries = read_entries(path) if path.exists() else []
    return entries[-1]["step"] if entries else 0


@pytest.mark.slow
def test_a_training_killed_several_times_ends_bit_for_bit_like_an_uninterrupted_one(
    settings, tmp_path
):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["jsisnet.training.trainer"])
    dice = random.Random(0)

    for _ in range(KILLS):
        process = context.Process(target=train_or_resume, args=(settings, killed))
        goal = steps_of(killed) + dice.randrange(1, 4)
        process.start()
        while process.is_alive() and steps_of(killed) < goal:
            time.sleep(0.003)
        process.kill()
        process.join()
        assert process.exitcode == -9
    train_or_resume(settings, killed)
    train_or_resume(settings, whole)

    figures = [
        [entry | {"seconds": 0, "memory": 0} for entry in read_entries(folder / METRICS)]
        for folder in (killed, whole)
    ]
    assert figures[0] == figures[1]
    assert [entry["step"] for entry in figures[0]] == list(range(1, STEPS + 1))
    assert (killed / WEIGHTS).read_bytes() == (whole / WEIGHTS).read_bytes()
    assert (killed / CHECKPOINT).exists()
    assert not list(killed.glob(".*.part"))
