"""Training of `lite` that takes a step for each line of its input, for `train_step.py`.

It runs with the code of any commit: after each step it prints a line with the CPU time of the step
in seconds and the peak memory of the process so far in megabytes.
"""

import sys
import time

import torch
from harness import CATEGORIES
from train_step import photos, settings

from jsisnet.experiments.speed import training_steps


def main(photos_in_a_step: int) -> None:
    """Train with one thread until the input ends."""
    torch.set_num_threads(1)
    config = settings("lite")
    steps = training_steps(config, CATEGORIES, photos(photos_in_a_step, config.augment.size))
    for _ in sys.stdin:
        began = time.process_time()
        report = next(steps)
        print(time.process_time() - began, report.memory, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
