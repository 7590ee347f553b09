import subprocess
import sys

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from jsisnet import arrays
from jsisnet.evaluation.panoptic_quality import PanopticQuality
from jsisnet.panoptic import resize_ids


def test_the_tests_check_the_shapes_of_arguments():
    with pytest.raises(TypeCheckError, match=r"Int32\[ndarray, 'h w'\]"):
        resize_ids(np.zeros(3, np.int32), (2, 2))


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
