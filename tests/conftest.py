import os
from importlib import import_module

import pytest
import torch
from hypothesis import settings

# jaxtyping's hook looks for the bytecode of all that its modules import under a name of its own and
# finds none: large libraries are imported before, or each process would compile them again.
for library in (
    "beartype",
    "lightning_fabric",
    "onnx.reference",
    "onnxscript",
    "onnxruntime",
    "scipy.optimize",
    "scipy.stats",
    "timm",
    "torchmetrics",
    "torchvision",
):
    import_module(library)

import factories  # noqa: E402 imports what the hook changes

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # tests use no network
os.environ["HF_HUB_OFFLINE"] = "1"
torch.set_num_threads(1)  # tiny tensors gain nothing from more
# Every run sees the same examples, and a busy machine fails no test.
settings.register_profile("jsisnet", deadline=None, derandomize=True, database=None)
settings.load_profile("jsisnet")


def pytest_collection_modifyitems(items):
    """Begin with the files of slow tests, so that no process is left with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture
def tiny(tmp_path):
    """Return six photos with ground truth, in files."""
    return factories.tiny_dataset(tmp_path / "tiny")
