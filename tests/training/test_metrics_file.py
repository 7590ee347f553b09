import json

import numpy as np
import pytest

from jsisnet.training.metrics_file import curves, read_entries


@pytest.fixture
def file(tmp_path):
    """Write lines to a file."""

    def written(*lines, end="\n"):
        path = tmp_path / "metrics.jsonl"
        path.write_text("\n".join(lines) + end)
        return path

    return written


def test_each_line_is_an_entry(file):
    assert read_entries(file('{"step": 1, "total": 2.5}', '{"step": 2}')) == [
        {"step": 1, "total": 2.5},
        {"step": 2},
    ]


@pytest.mark.parametrize("rest", ["", '{"st', '{"step": 2}'])
def test_an_incomplete_last_line_is_skipped(file, rest):
    assert read_entries(file('{"step": 1}', rest, end="")) == [{"step": 1}]


def test_an_empty_file_has_no_entries(file):
    assert read_entries(file(end="")) == []


@pytest.mark.parametrize(
    "line",
    ["", "nonsense", "[1]", "{}", '{"step": "1"}', '{"step": -1}', '{"step": 0.5}', "[" * 9999],
)
def test_an_invalid_line_is_named(file, line):
    with pytest.raises(ValueError, match=r"metrics\.jsonl: line 2: not a line of training metrics"):
        read_entries(file('{"step": 1}', line))


def test_bytes_that_are_not_utf8_are_named(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"\xff\xfe\n")

    with pytest.raises(ValueError, match="line 1: not a line of training metrics"):
        read_entries(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="nowhere: can't be read"):
        read_entries(tmp_path / "nowhere")


def test_each_number_is_a_curve_named_by_its_path():
    found = curves(
        [
            {"step": 1, "total": 3.0, "terms": {"boxes": 1.0}},
            {"step": 2, "total": 2.0, "terms": {"boxes": 0}},
            {"step": 2, "validation": {"all": {"pq": 50.0}, "classes": [{"pq": 1.0}]}},
        ]
    )

    assert {name: (c.steps.tolist(), c.values.tolist()) for name, c in found.items()} == {
        "total": ([1, 2], [3, 2]),
        "terms.boxes": ([1, 2], [1, 0]),
        "validation.all.pq": ([2], [50]),
    }
    assert found["total"].steps.dtype == np.float64


def test_values_that_are_not_finite_numbers_are_skipped():
    line = '{"step": 1, "a": NaN, "b": 1e999, "c": null, "d": "x", "e": 1%s, "f": 1}' % ("0" * 400)

    assert list(curves([json.loads(line)])) == ["f"]
