import os

import pytest
import torch
from hypothesis import settings

import factories

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # tests use no network
torch.set_num_threads(1)  # tiny tensors gain nothing from more
# Every run sees the same examples, and a busy machine fails no test.
settings.register_profile("jsisnet", deadline=None, derandomize=True, database=None)
settings.load_profile("jsisnet")


@pytest.fixture
def tiny(tmp_path):
    """Return six photos with ground truth, in files."""
    return factories.tiny_dataset(tmp_path / "tiny")
