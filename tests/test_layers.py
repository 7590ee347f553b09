"""CONTRIBUTING.md draws the layers that the import contract enforces."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_picture_of_the_layers_equals_the_contract():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (
        each for each in settings["tool"]["importlinter"]["contracts"] if each["type"] == "layers"
    )
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (picture,) = re.findall(r"## Layers\n.*?```\n(.*?)```", text, re.DOTALL)

    rows = [re.split(r"\s{2,}", line, maxsplit=1) for line in picture.splitlines()]

    assert [row for row, _ in rows] == [
        layer for layer in contract["layers"] if not layer.startswith("(")
    ]
    assert all(description for _, description in rows)
