"""Python examples in the documentation run and give the results stated there."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from jsisnet.inference import Engine, EngineOptions, Predictor

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def names():
    """Run the Python blocks of a section in order, and return their namespace."""
    text = (DOCS / "how_to" / "evaluate.md").read_text(encoding="utf-8")
    section = text.partition("## In your own training loop\n")[2].partition("\n## ")[0]
    made = {}
    for block in re.findall(r"```python\n(.*?)```", section, re.DOTALL):
        exec(block, made)
    return made


def test_maps_in_memory_are_measured(names):
    total = names["total"]

    assert total.pq == pytest.approx([4 / 9, 0.8])
    assert (total.tp.tolist(), total.fp.tolist(), total.fn.tolist()) == ([1, 1], [0, 0], [1, 0])


def test_the_metric_measures_tensors(names):
    values = names["metric"].compute()

    found = [values[name] for name in ("pq", "pq_things", "pq_stuff")]
    torch.testing.assert_close(torch.stack(found).tolist(), [1 / 3, 2 / 3, 0.0])


def test_the_engine_of_the_documentation_predicts():
    text = (DOCS / "how_to" / "engines.md").read_text(encoding="utf-8")
    made = {}
    exec(re.findall(r"```python\n(.*?)```", text, re.DOTALL)[-1], made)
    engine = made["open_engine"]("anything", EngineOptions())

    result = Predictor(engine)(np.zeros((30, 40, 3), np.uint8))

    assert isinstance(engine, Engine)
    assert [segment.name for segment in result] == ["sky"]
    assert result[0].area == 30 * 40
