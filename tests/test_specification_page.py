"""The page of the specification names settings with the values of `coco.yaml`, and files."""

import re
from functools import reduce
from pathlib import Path

import pytest
import yaml

import jsisnet
from jsisnet.training.config import read_config

SOURCE = Path(jsisnet.__file__).parent
PAGE = Path(__file__).parents[1] / "docs" / "reference" / "specification.md"
MARKS = {"paper", "the authors' later code", "our choice"}


def rows():
    """Return the cells of each row of the tables of decisions."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if re.match(r"\d", row[0])]


@pytest.fixture(scope="module")
def paper():
    return read_config(Path("coco.yaml"))


def test_every_row_has_a_mark():
    assert len(rows()) > 75
    assert {row[4] for row in rows()} == MARKS


def test_every_setting_exists_and_has_the_value_of_the_papers_preset(paper):
    named = [text for row in rows() for text in re.findall(r"`([^`]+)`", row[2])]

    assert len(named) > 60
    for text in named:
        ((name, expected),) = yaml.safe_load(text).items()
        found = reduce(getattr, name.split("."), paper)
        found = list(found) if isinstance(found, tuple) else found
        assert found == pytest.approx(_number(expected)), text


def test_every_file_exists():
    for row in rows():
        (name,) = re.findall(r"`([^`]+)`", row[3])
        assert (SOURCE / name).is_file(), name


def _number(value):
    """Return YAML 1.1's ``5.5e-5``, which is a string there, as a number."""
    return float(value) if isinstance(value, str) and re.fullmatch(r"[\d.]+e-\d+", value) else value
