"""The documentation's commands and files, to run them as they stand."""

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from jsisnet.cli.app import run

ROOT = Path(__file__).parents[2]

SHORTER = {
    "data generate": ("--train", "10", "--val", "2"),
    "train": ("--train.steps=2", "--train.evaluate-every=2", "--train.batch-size=2"),
}
"""Options that let commands do less of the same."""


def section(page: str, title: str = "") -> str:
    """Give the text of a page, or of what stands there below a title."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0] if title else text


def blocks(text: str, language: str = "") -> list[str]:
    """Give the blocks of a language; those without one hold commands and what they print."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [content for name, content in found if name == language]


def commands(text: str) -> list[list[str]]:
    """Give the arguments of each call of jsisnet."""
    lines = "".join(blocks(text)).replace("\\\n", " ").splitlines()
    called = (shlex.split(line, comments=True) for line in lines if line.startswith("jsisnet "))
    return [words[1:] for words in called]


def follow(text: str, shorter: Mapping[str, tuple[str, ...]] = SHORTER) -> list[list[str]]:
    """Run all commands of a text in the current folder, with the files that it shows there.

    Returns:
        The commands that failed.
    """
    for content in blocks(text, "yaml"):
        Path(content.partition("\n")[0].removeprefix("# ")).write_text(content, encoding="utf-8")
    failed = []
    for words in commands(text):
        names = (" ".join(words[:count]) for count in (1, 2))
        more = next((shorter[name] for name in names if name in shorter), ())
        if run([*words, *more]) != os.EX_OK:
            failed.append(words)
    return failed
