"""Commands and files of the documentation, so that tests can run them."""

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from jsisnet.cli.app import run

ROOT = Path(__file__).parents[2]

SHORTENED = {
    "data generate": ("--train", "10", "--val", "2"),
    "train": ("--train.steps=2", "--train.evaluate-every=2", "--train.batch-size=2"),
}
"""Extra options by command that shorten its run."""


def section(page: str, title: str = "") -> str:
    """Return the text of a page, or of the section with this title."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0] if title else text


def blocks(text: str, language: str = "") -> list[str]:
    """Return the code blocks of a language; those without one hold commands and their output."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [content for name, content in found if name == language]


def commands(text: str) -> list[list[str]]:
    """Return the arguments of each `jsisnet` command in a text."""
    lines = "".join(blocks(text)).replace("\\\n", " ").splitlines()
    called = (shlex.split(line, comments=True) for line in lines if line.startswith("jsisnet "))
    return [words[1:] for words in called]


def follow(text: str, shortened: Mapping[str, tuple[str, ...]] = SHORTENED) -> list[list[str]]:
    """Write the YAML files of a text to the current folder, and run its commands there.

    Returns:
        The commands that failed.
    """
    for content in blocks(text, "yaml"):
        Path(content.partition("\n")[0].removeprefix("# ")).write_text(content, encoding="utf-8")
    failed = []
    for words in commands(text):
        names = (" ".join(words[:count]) for count in (1, 2))
        more = next((shortened[name] for name in names if name in shortened), ())
        if run([*words, *more]) != os.EX_OK:
            failed.append(words)
    return failed
