"""Run commands on a disk that is too small, and again with room."""

import shlex
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from reliability import trees
from reliability.commands import Command
from reliability.kills import Reference
from reliability.workshop import ENVIRONMENT, LIMIT, Ended, Workshop
from reliability.workshop import command as line

FRACTIONS = (0.0, 0.3, 0.6, 0.95)
"""Sizes of the disk, as fractions of what the results take."""

_PAGE = 4096

_SCRIPT = """\
mkdir -p out
mount -t tmpfs -o size={size} none out || exit 77
{command} > log1 2> err1 < /dev/null
echo $? > code1
cp -a out first
mount -o remount,size=1g out
{command} > log2 2> err2 < /dev/null
echo $? > code2
cp -a out second
"""


@dataclass
class Outcome:
    """What happened to a command on disks of some sizes."""

    name: str
    failed: int = 0
    """Runs that the disk was too small for."""
    fitted: int = 0
    faults: list[str] = field(default_factory=list)


def possible() -> bool:
    """Return whether this user may mount a disk of memory in a namespace of his own."""
    script = "mount -t tmpfs -o size=64k none /mnt"
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script], check=False, capture_output=True)
    return done.returncode == 0


def run(
    command: Command, expected: Reference, workshop: Workshop, fractions: tuple[float, ...]
) -> Outcome:
    """Run a command on disks of some sizes, each time again with room."""
    outcome = Outcome(command.name)
    whole = sum(-(-len(content) // _PAGE) for content in expected.tree.values() if content)
    for fraction in fractions:
        size = max(int(whole * fraction), 1) * _PAGE
        tokens = shlex.join(line(command.tokens))
        script = _SCRIPT.format(size=size, command=tokens)
        with workshop.room(command.place) as room:
            subprocess.run(
                ["unshare", "-rm", "sh", "-c", script],
                cwd=room,
                env=ENVIRONMENT,
                timeout=2 * LIMIT,
                check=False,
            )
            found = _faults(command, expected, room, outcome)
        outcome.faults += [f"{size} bytes: {each}" for each in found]
    return outcome


def _faults(command: Command, expected: Reference, room: Path, outcome: Outcome) -> list[str]:
    first, second = (_ended(room, number) for number in (1, 2))
    found = trees.half_written(trees.read(room / "first"))
    if first.code == command.code:
        outcome.fitted += 1
    else:
        outcome.failed += 1
        if first.code != 1 or not _in_sentences(first.error):
            found.append(f"exit {first.code}, not in sentences: {first.error.strip()[-200:]}")
        elif "out/" not in first.error:
            found.append(f"names no file: {first.error.strip()[-200:]}")
    if second.code != command.code:
        found.append(f"refused with room: {second.error.strip()[-200:]}")
    different = trees.differences(expected.tree, trees.read(room / "second"), command.exempt)
    return found + [f"with room, {each}" for each in different]


def _in_sentences(error: str) -> bool:
    """Return whether there is one sentence, or one for each photo."""
    lines = error.strip().splitlines()
    return bool(lines) and all(line.startswith("jsisnet: ") for line in lines)


def _ended(room: Path, number: int) -> Ended:
    names = (room / f"{name}{number}" for name in ("code", "log", "err"))
    code, output, error = (path.read_text(errors="replace") for path in names)
    return Ended(int(code), output, error)
