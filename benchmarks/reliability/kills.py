"""Kill commands at random times, run them again, and compare with a run that was not killed."""

import os
import random
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from reliability import trees
from reliability.commands import Command
from reliability.workshop import LIMIT, Workshop, run, start

FIRST = 0.15
"""Seconds before which nothing but imports happens."""

MOST = 3
"""Most kills in a row."""

AFTER_LAST_FILE = 0.06
"""Most seconds from the appearance of the last file to a kill that is aimed at the end."""

DYING = 3.0
"""Seconds within which all processes of a killed session must be gone."""

_POLL = 0.002


@dataclass(frozen=True)
class Reference:
    """What a command writes when it is not killed, and the seconds that it takes."""

    tree: trees.Tree
    seconds: float


@dataclass
class Tally:
    """Kills of a command, and what was found wrong, by kind."""

    kills: int = 0
    early: int = 0
    """Kills before anything was written."""
    reruns: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def add(self, kind: str, found: list[str], seed: str) -> None:
        """Count faults of a kind."""
        self.faults[kind] += len(found)
        self.examples += [f"--seed {seed}: {each}" for each in found]

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.kills + other.kills,
            self.early + other.early,
            self.reruns + other.reruns,
            self.faults + other.faults,
            self.examples + other.examples,
        )


KINDS = (
    "half-written",
    "processes left",
    "refused reruns",
    "lost",
    "left over",
    "differing",
)
"""Kinds of faults."""


def reference(command: Command, workshop: Workshop) -> Reference:
    """Run a command to its end.

    Raises:
        ValueError: If it fails, or writes files that an independent reader refuses.
    """
    with workshop.room(command.place) as room:
        began = time.perf_counter()
        ended = run(command.tokens, room)
        seconds = time.perf_counter() - began
        tree = trees.read(room / "out")
    trees.refuse(ended.code != command.code, f"{command.name}: {ended.error}")
    broken = trees.half_written(tree)
    trees.refuse(bool(broken), f"{command.name}: {broken}")
    return Reference(tree, seconds)


def kill_and_compare(command: Command, expected: Reference, workshop: Workshop, seed: str) -> Tally:
    """Kill a command once or a few times in a row, run it to its end, and count the faults."""
    draw, tally = random.Random(f"{seed} {command.name}"), Tally()
    with workshop.room(command.place) as room:
        for _ in range(draw.randint(1, MOST)):
            if not _kill(command, expected, room, draw, tally, seed):
                break
        ended = run(command.tokens, room)
        found = trees.read(room / "out")
    tally.reruns += 1
    if ended.code != command.code:
        tally.add("refused reruns", [f"refused: {ended.error.strip()[-200:]}"], seed)
    for each in trees.differences(expected.tree, found, command.exempt):
        kind = each.partition(":")[0]
        tally.add("differing" if kind == "differs" else kind, [each], seed)
    return tally


def _kill(
    command: Command,
    expected: Reference,
    room: Path,
    draw: random.Random,
    tally: Tally,
    seed: str,
) -> bool:
    """Start the command and kill it; return whether it was still running."""
    at_the_end = draw.random() < 0.4  # noqa: PLR2004  # share of the kills that are aimed there
    with (room / "log").open("w") as log:
        process = start(command.tokens, room, log, log)
        if at_the_end:
            _await_files(process, room, set(expected.tree), expected.seconds)
            delay = draw.uniform(0, AFTER_LAST_FILE)
        else:
            delay = draw.uniform(FIRST, max(expected.seconds, FIRST))
        killed = _kill_after(process, delay)
    tree = trees.read(room / "out")
    left = _left(process.pid)
    tally.add("processes left", [f"process {each}" for each in left], seed)
    tally.add("half-written", trees.half_written(tree), seed)
    tally.kills += killed
    tally.early += killed and not tree
    return killed


def _await_files(
    process: subprocess.Popen[bytes], room: Path, names: set[str], seconds: float
) -> None:
    """Wait until all files have their names, or the command is about to end without that."""
    latest = time.perf_counter() + 2 * seconds
    missing = sorted(names, reverse=True)
    while missing and process.poll() is None and time.perf_counter() < latest:
        if (room / "out" / missing[-1]).exists():
            missing.pop()
        else:
            time.sleep(_POLL)


def _kill_after(process: subprocess.Popen[bytes], delay: float) -> bool:
    try:
        process.wait(delay)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(LIMIT)
        return True
    return False


def _left(session: int) -> list[str]:
    """Return the processes of a killed session that do not die."""
    latest = time.perf_counter() + DYING
    while (found := _of_session(session)) and time.perf_counter() < latest:
        time.sleep(_POLL)
    for each in found:
        os.kill(int(each), signal.SIGKILL)
    return found


def _of_session(session: int) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # The name, in brackets, may hold anything.
            state, _, _, its_session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            continue
        if int(its_session) == session and state != "Z":
            found.append(folder.name)
    return found
