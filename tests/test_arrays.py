import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from jsisnet import arrays
from jsisnet.evaluation.panoptic_quality import PanopticQuality
from jsisnet.panoptic import resize_ids


def test_the_tests_check_the_shapes_of_arguments():
    with pytest.raises(TypeCheckError, match=r"Int32\[ndarray, 'h w'\]"):
        resize_ids(np.zeros(3, np.int32), (2, 2))


def test_every_module_with_shapes_is_checked(request):
    *checked, _ = request.config.getoption("--jaxtyping-packages").split(",")
    source = Path(arrays.__file__).parents[1]
    modules = {
        ".".join(path.relative_to(source).with_suffix("").parts)
        for path in Path(arrays.__file__).parent.rglob("*.py")
        if re.search(r'\[(np\.ndarray|Tensor), "', path.read_text(encoding="utf-8"))
    }

    assert "jsisnet.inference.merge" in modules
    left = [name for name in modules if not any(f"{name}.".startswith(f"{c}.") for c in checked)]
    assert set(left) == {"jsisnet.arrays"}


def test_the_tests_check_the_shapes_of_fields():
    count = np.zeros(2, np.int64)

    with pytest.raises(TypeCheckError):
        PanopticQuality(iou=np.zeros(2), tp=count, fp=count, fn=np.zeros(3, np.int64))


def test_without_jaxtyping_the_types_are_plain_arrays():
    program = (
        "import sys, numpy as np, jsisnet.evaluation.score\n"
        "from jsisnet import arrays\n"
        "types = [getattr(arrays, name)[np.ndarray, 'h w'] for name in arrays.__all__]\n"
        "sys.exit('jaxtyping' in sys.modules or set(types) != {np.ndarray})"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_every_type_is_jaxtypings_own_where_jaxtyping_is_loaded():
    import jaxtyping

    assert all(getattr(arrays, name) is getattr(jaxtyping, name) for name in arrays.__all__)
