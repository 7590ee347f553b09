import subprocess
import sys
from types import ModuleType

import pytest

import jsisnet


def test_every_public_name_is_importable():
    assert all(getattr(jsisnet, name) is not None for name in jsisnet.__all__)


def test_no_other_name_is_offered():
    offered = {name for name in vars(jsisnet) if not name.startswith("_")}
    modules = {name for name in offered if isinstance(getattr(jsisnet, name), ModuleType)}

    assert offered - modules - {"TYPE_CHECKING", "import_module"} <= set(jsisnet.__all__)


def test_a_misspelt_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Predictr"):
        getattr(jsisnet, "Predictr")  # noqa: B009 - type checkers know that it is missing


def test_files_and_metrics_start_without_torch():
    program = (
        "import sys, jsisnet, jsisnet.evaluation.score, jsisnet.formats.coco,"
        " jsisnet.visualize.overlay;"
        "sys.exit('torch' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
