import pytest
import torch

import factories

torch.set_num_threads(2)


@pytest.fixture
def tiny(tmp_path):
    """Six photos with ground truth, in files."""
    return factories.tiny_dataset(tmp_path / "tiny")
