"""Damage each input of each command in many ways, and judge how the command takes it."""

import hashlib
import itertools
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from reliability import judges, mutations, trees, worker
from reliability.corpus import TARGETS, Target
from reliability.workshop import ENVIRONMENT, Workshop

HANGS = 30.0
"""Seconds after which a command hangs."""

MEMORY = 2 * 2**30
"""Bytes that a command must not exceed."""

RARE = ("swollen", "bomb")
"""Mutations that take seconds themselves, so that they come up less often."""

KINDS = (
    "tracebacks",
    "called a bug",
    "hangs",
    "memory",
    "signals",
    "silent failures",
    "wrong successes",
)
"""Kinds of faults."""


@dataclass(frozen=True)
class Case:
    """One damaged file of one target."""

    target: Target
    file: str
    mutation: str
    number: int

    def __str__(self) -> str:
        return f"{self.target.name}/{self.file}/{self.mutation}/{self.number}"


@dataclass
class Tally:
    """Damaged files of a target, and how its command took them."""

    tried: int = 0
    refused: int = 0
    right: int = 0
    unjudged: int = 0
    faults: Counter[str] = field(default_factory=Counter)


class Runner(Protocol):
    """Runs a command in a room, where it leaves what was printed in ``log.out`` and ``log.err``."""

    def run(self, tokens: tuple[str, ...], room: Path) -> dict[str, float]:
        """Return the exit code, signal, seconds and memory, and whether it hung."""
        ...


class Worker:
    """Process that runs commands in children of its own."""

    def __init__(self, *, trained: bool) -> None:
        self.process = subprocess.Popen(
            [sys.executable, worker.__file__, *(["torch"] if trained else [])],
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, tokens: tuple[str, ...], room: Path) -> dict[str, float]:
        """Run a command in a room."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        task = {"tokens": list(tokens), "room": str(room), "limit": HANGS}
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


class Fuzzer:
    """Runs cases and judges them.

    Attributes:
        tallies: What was found, by target.
        faults: A line for each fault.
    """

    def __init__(self, workshop: Workshop, seed: int, kept: Path, worker: Runner) -> None:
        self.workshop, self.seed, self.kept = workshop, seed, kept
        self.worker = worker
        self.tallies: dict[str, Tally] = {}
        self.faults: list[str] = []
        self._references: dict[str, tuple[trees.Tree, str]] = {}
        self._states: dict[str, Path] = {}
        self._place = Path(tempfile.mkdtemp(dir=workshop.folder))

    def run(self, case: Case) -> None:
        """Damage a file, run the command, and count."""
        if case.target.rule == "same":
            self._reference(case.target)
        draw = random.Random(f"{self.seed} {case}")
        room = self._room(case.target)
        path = room / case.file
        before = path.read_bytes()
        if not self._damage(case, path, before, draw):
            shutil.rmtree(room)
            return
        tally = self.tallies.setdefault(case.target.name, Tally())
        tally.tried += 1
        ended = self.worker.run(case.target.tokens, room)
        error = (room / "log.err").read_text(errors="replace")
        found = _obvious(ended, error, (room / "log.out").read_text(errors="replace"))
        if not found and ended["code"] == 0:
            verdict = self._judge(case, room)
            tally.right += verdict == ""
            tally.unjudged += verdict == "?"
            if verdict not in ("", "?"):
                found = [("wrong successes", verdict)]
        tally.refused += ended["code"] != 0 and not found
        for kind, reason in found:
            tally.faults[kind] += 1
            self._keep(case, room, f"{kind}: {reason}")
        shutil.rmtree(room)

    def _room(self, target: Target) -> Path:
        room = self._place / "room"  # some results depend on the path
        self.workshop.furnish(room)
        if target.state:
            if target.name not in self._states:
                self._states[target.name] = self._make_state(target, room)
            shutil.copytree(self._states[target.name], room / "out")
        return room

    def _make_state(self, target: Target, room: Path) -> Path:
        """Run the command that comes before, and keep what it wrote."""
        ended = self.worker.run(target.state, room)
        trees.refuse(ended["code"] != 0, f"{target.name}: {(room / 'log.err').read_text()}")
        for name in target.dropped:
            (room / name).unlink()
        state = self._place / f"state {target.name}"
        shutil.move(room / "out", state)
        return state

    def _reference(self, target: Target) -> tuple[trees.Tree, str]:
        """Return what the command writes and prints for whole files."""
        if target.name not in self._references:
            room = self._room(target)
            ended = self.worker.run(target.tokens, room)
            error = (room / "log.err").read_text()
            trees.refuse(ended["code"] != 0, f"{target.name}: {error}")
            self._references[target.name] = _results(room)
            shutil.rmtree(room)
        return self._references[target.name]

    def _damage(self, case: Case, path: Path, before: bytes, draw: random.Random) -> bool:
        """Change the file; return whether it is another one now."""
        path.unlink()
        if case.mutation in mutations.PLACES:
            mutations.PLACES[case.mutation](path)
            return True
        after = _mutate(case, before, draw)
        path.write_bytes(after)
        return after != before

    def _judge(self, case: Case, room: Path) -> str:
        """Return why a success is wrong; nothing if it is right, ``?`` if that is unknown."""
        target, path = case.target, room / case.file
        found = _results(room)
        if target.rule == "same":
            same = _visible(found[0]) == _visible(self._reference(target)[0])
            return "" if same else "other results than with the whole file"
        missing = target.optional and case.mutation in mutations.PLACES
        if missing or (target.reports and _isnamed(case, room, found[1])):
            return ""
        if target.rule == "exact":
            return "damaged, though there is a check sum"
        try:
            content = judges.content(path)
        except Exception as error:
            return f"an independent reader refuses the file: {type(error).__name__}: {error}"
        if target.name in judges.JUDGES and (complaint := judges.JUDGES[target.name](room)):
            return complaint
        return self._compare_with_clean(target, case.file, content, found)

    def _compare_with_clean(
        self, target: Target, file: str, content: judges.Content, found: tuple[trees.Tree, str]
    ) -> str:
        """Run the command on a clean file of the same content, and compare the results."""
        damaged = self._place / "damaged"
        (self._place / "room").rename(damaged)
        room = self._room(target)
        (room / file).unlink()
        (room / file).write_bytes(content.clean)
        ended = self.worker.run(target.tokens, room)
        error = (room / "log.err").read_text(errors="replace").strip()[-150:]
        expected = _results(room)
        shutil.rmtree(room)
        damaged.rename(room)
        if ended["code"] != 0:
            return f"refused when an independent library writes the same content: {error}"
        different = trees.differences(
            *(trees.decoded(_visible(tree)) for tree in (expected[0], found[0])), target.exempt
        )
        if different:
            return f"other results than with a clean file of the same content: {different[:3]}"
        if target.trained:  # prints seconds and memory
            return ""
        return "" if expected[1] == found[1] else "prints something else than with a clean file"

    def _keep(self, case: Case, room: Path, reason: str) -> None:
        """Keep the damaged input of a fault."""
        name = hashlib.sha256(str(case).encode()).hexdigest()[:10]
        folder = self.kept / name
        if not folder.exists():
            shutil.copytree(room, folder, symlinks=True, ignore=_special)
        line = f"{case}: {reason} [{folder}]"
        (folder / "case.txt").write_text(f"--seed {self.seed} --only '{case}'\n{line}\n")
        self.faults.append(line)


def cases(seed: int, *, trained: bool, only: str = "") -> Iterator[Case]:
    """Return cases without end, all kinds of damage in turn, in a random order."""
    kinds = [
        (target, file, mutation)
        for target in TARGETS
        if target.trained == trained
        for file in target.damaged
        for mutation in (*mutations.of(file), *mutations.PLACES)
    ]
    for number in itertools.count():
        random.Random(f"{seed} {number}").shuffle(kinds)
        for target, file, mutation in kinds:
            if number and (mutation in mutations.PLACES or (mutation in RARE and number % 5)):
                continue
            case = Case(target, file, mutation, number)
            if str(case).startswith(only):
                yield case


def total(fuzzers: list[Fuzzer], name: str) -> Tally:
    """Add what fuzzers found of a target."""
    sums = Tally()
    for tally in (fuzzer.tallies.get(name, Tally()) for fuzzer in fuzzers):
        for count in ("tried", "refused", "right", "unjudged"):
            setattr(sums, count, getattr(sums, count) + getattr(tally, count))
        sums.faults += tally.faults
    return sums


def case(name: str) -> Case:
    """Return the case of this name, as the list of faults gives it."""
    rest, mutation, number = name.rsplit("/", 2)
    target = max(
        (each for each in TARGETS if rest.startswith(each.name)), key=lambda t: len(t.name)
    )
    return Case(target, rest[len(target.name) + 1 :], mutation, int(number))


def _mutate(case: Case, before: bytes, draw: random.Random) -> bytes:
    try:
        return mutations.of(case.file)[case.mutation](before, draw)
    except UnicodeEncodeError:  # a lone surrogate can't be written otherwise
        return before


def _obvious(ended: dict[str, float], error: str, output: str) -> list[tuple[str, str]]:
    """Return faults that need no judge."""
    last = error.strip().rpartition("\n")[2][-200:]
    found = []
    if "Traceback (most recent call last)" in error:
        found.append(("tracebacks", last))
    if "bug in jsisnet" in error:
        found.append(("called a bug", last))
    if ended["hangs"]:
        return [*found, ("hangs", f"{ended['seconds']:.0f} s")]
    if ended["memory"] > MEMORY:
        found.append(("memory", f"{ended['memory'] / 2**30:.1f} GB; {last}"))
    if ended["code"] and not error.strip() and not output.strip():
        found.append(("silent failures", f"code {ended['code']}"))
    if ended["signal"] or ended["code"] not in (0, 1, 2):
        found.append(("signals", f"code {ended['code']}, signal {ended['signal']}: {last}"))
    return found


def _isnamed(case: Case, room: Path, printed: str) -> bool:
    """Return whether a command names a damaged file; of a missing map it may name the photo."""
    text = printed + (room / "log.err").read_text()
    name = Path(case.file).name if case.mutation in mutations.PLACES else case.file
    return name in text


def _results(room: Path) -> tuple[trees.Tree, str]:
    return trees.read(room / "out"), (room / "log.out").read_text(errors="replace")


def _visible(tree: trees.Tree) -> trees.Tree:
    return {name: content for name, content in tree.items() if not trees.is_hidden(name)}


def _special(folder: str, names: list[str]) -> list[str]:
    """Return what can't be copied: pipes."""
    return [name for name in names if Path(folder, name).is_fifo()]
