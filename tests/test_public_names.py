import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import jsisnet

SOURCE = Path(jsisnet.__file__).parent
ROOMS = sorted(
    ".".join(("jsisnet", *stub.parent.relative_to(SOURCE).parts))
    for stub in SOURCE.rglob("__init__.pyi")
)
FACE = {
    *("Categories", "Category", "PanopticMap", "PanopticQualityMetric", "Predictor", "Segment"),
    *("VOID", "__version__", "check", "compare", "draw", "open_dataset", "read_image"),
    *("Result", "score", "train"),
}


def run(program):
    return subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_can_be_imported_and_is_listed(room):
    module = import_module(room)

    assert all(getattr(module, name) is not None for name in module.__all__)
    assert set(module.__all__) <= set(dir(module))


@pytest.mark.parametrize("room", ROOMS)
def test_no_public_name_is_hidden_by_a_module(room):
    module = import_module(room)
    folder = Path(module.__file__).parent
    modules = {path.stem for path in (*folder.glob("*.py"), *folder.glob("*/"))}

    assert modules.isdisjoint(module.__all__)


def test_the_package_offers_its_face_and_nothing_else():
    assert {name for name in dir(jsisnet) if not name.startswith("__")} | {"__version__"} == FACE
    assert jsisnet.__version__.count(".") == 2


def test_a_star_import_brings_the_public_names():
    assert run("from jsisnet.evaluation import *; count_matches").returncode == 0


def test_a_misspelt_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Predictr"):
        getattr(jsisnet, "Predictr")  # noqa: B009 - type checkers know that it is missing


def test_importing_the_package_imports_neither_numpy_nor_torch():
    program = "import sys, jsisnet; sys.exit(bool({'numpy', 'torch'} & set(sys.modules)))"

    assert run(program).returncode == 0


def test_files_and_metrics_start_without_torch():
    program = (
        "import sys, jsisnet;"
        "jsisnet.score, jsisnet.compare, jsisnet.check, jsisnet.draw, jsisnet.read_image;"
        "sys.exit('torch' in sys.modules)"
    )

    assert run(program).returncode == 0


def test_a_name_that_needs_torch_says_how_to_install_it():
    program = "import sys; sys.modules['torch'] = None; import jsisnet; jsisnet.train"

    result = run(program)

    assert result.returncode == 1
    assert "ImportError: jsisnet.train needs PyTorch, which is not installed" in result.stderr
    assert "pip install 'jsisnet[torch]'" in result.stderr
