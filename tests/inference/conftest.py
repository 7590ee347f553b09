import sys
from types import ModuleType, SimpleNamespace

import pytest


class _Document(SimpleNamespace):
    """Stand-in for a document of FiftyOne: it holds the fields that it is given."""


@pytest.fixture
def fiftyone(monkeypatch):
    """Return FiftyOne, or a stand-in where it is not installed: it brings a database server."""
    try:
        import fiftyone
    except ModuleNotFoundError:
        fiftyone = ModuleType("fiftyone")
        fiftyone.Detection = fiftyone.Detections = _Document
        monkeypatch.setitem(sys.modules, "fiftyone", fiftyone)
    return fiftyone
