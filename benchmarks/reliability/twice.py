"""Run each command twice, and two at once, into one folder."""

import random
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from reliability import trees
from reliability.commands import Command
from reliability.kills import Reference
from reliability.workshop import LIMIT, Ended, Workshop, run, start


@dataclass(frozen=True)
class Outcome:
    """What happened to two runs of a command, and what is wrong with it, if anything."""

    name: str
    happened: str
    fault: str = ""


def one_after_the_other(command: Command, expected: Reference, workshop: Workshop) -> Outcome:
    """Run a command twice; the second must succeed, and change nothing."""
    with workshop.room(command.place) as room:
        run(command.tokens, room)
        again = run(command.tokens, room)
        different = trees.differences(expected.tree, trees.read(room / "out"), command.exempt)
    if again.code != command.code:
        return Outcome(command.name, "refused", _last(again))
    said = "already complete" if "already" in again.output + again.error else "done again"
    return Outcome(command.name, said, "; ".join(different[:3]))


def at_once(
    command: Command, references: list[Reference], workshop: Workshop, seed: str
) -> Outcome:
    """Start two commands that write to one folder, and compare with each running alone.

    Args:
        command: The command; the second one is its rival, if there are two references.
        references: What it writes alone, and what its rival does.
        workshop: Where to run them.
        seed: Seed of the time between the two.
    """
    draw = random.Random(f"{seed} {command.name}")
    lines = [command.tokens, command.rival if len(references) > 1 else command.tokens]
    with workshop.room(command.place) as room:
        ended = _both(lines, room, draw.uniform(0, 0.5 * references[0].seconds))
        found = trees.read(room / "out")
    wrote = [number for number, each in enumerate(ended) if each.code == command.code]
    name = f"{command.name}, and a rival" if len(references) > 1 else command.name
    if not wrote:
        return Outcome(name, "both refused", "; ".join(map(_last, ended)))
    happened = "both wrote" if len(wrote) > 1 else "one wrote, one was refused"
    refused = [each for each in ended if each.code != command.code and not each.is_refused]
    if refused:
        return Outcome(name, happened, f"not one sentence: {_last(refused[0])}")
    possible = [references[min(number, len(references) - 1)] for number in wrote]
    different = [trees.differences(each.tree, found, command.exempt) for each in possible]
    return Outcome(name, happened, "; ".join(min(different, key=len)[:3]))


def _both(lines: list[tuple[str, ...]], room: Path, delay: float) -> list[Ended]:
    processes, logs = [], []
    for number, tokens in enumerate(lines):
        time.sleep(delay * number)
        out, error = (room / f"{name}{number}" for name in ("log", "err"))
        logs.append((out, error))
        with out.open("w") as output, error.open("w") as errors:
            processes.append(start(tokens, room, output, errors))
    return [
        Ended(_code(process), *(path.read_text(errors="replace") for path in paths))
        for process, paths in zip(processes, logs, strict=True)
    ]


def _code(process: "subprocess.Popen[bytes]") -> int:
    try:
        return process.wait(LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _last(ended: Ended) -> str:
    return f"exit {ended.code}: {ended.error.strip().rpartition(chr(10))[2][-160:]}"
