import subprocess
import sys

from jsisnet.training import fabric


def test_a_training_imports_no_torchmetrics():
    script = """
import sys
import jsisnet.training.trainer
assert "torchmetrics" not in sys.modules
from torchmetrics import Metric
print(Metric.__name__)
"""

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )

    assert done.stdout == "Metric\n", done.stderr


def test_what_stands_in_gives_way_to_its_package(monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)

    with fabric._without_importing("colorsys"):
        import colorsys

        unused = colorsys
        assert not hasattr(unused, "__file__")
        assert unused.hsv_to_rgb(0, 0, 1) == (1, 1, 1)
        assert hasattr(sys.modules["colorsys"], "__file__")

    assert sys.modules["colorsys"] is not unused
