"""Reliability: kills, mutated input, two runs in one folder, and full disks.

Each command that writes files is killed at random times, run again, and its results are compared
byte by byte with those of a run without a kill. Each command that reads files gets damaged ones,
and independent readers judge its successes. All inputs are made up, from a seed.
"""

import argparse
import itertools
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from harness import Promise, finish
from reliability import corpus, full_disk, fuzz, kills, trees, twice
from reliability.commands import COMMANDS, Command
from reliability.workshop import Workshop

PARTS = ("kills", "input", "twice", "full-disk")
"""What is tried."""

SHARES = {"kills": 0.35, "twice": 0.2, "full-disk": 0.1, "input": 0.35}
"""Each part's share of the time."""

AT_ONCE = 2
"""Commands that run at a time."""

QUICK_MINUTES = 0.7
"""Length of a quick run, beyond the time that its inputs and references take."""

GOALS = {"kills": 200, "commands": 14, "inputs": 1500}
"""Least numbers of a run of twenty minutes."""

QUICK_GOALS = {"kills": 20, "commands": 14, "inputs": 100}
"""Least numbers of a run of a minute."""


@dataclass
class Record:
    """What was tried and found."""

    promises: list[Promise] = field(default_factory=list)
    figures: dict[str, object] = field(default_factory=dict)

    def none(self, name: str, count: int) -> None:
        """Promise that something never happened."""
        self.promises.append(Promise(name, count, 0, lower_is_better=True))


@dataclass(frozen=True)
class Run:
    """Settings of this run."""

    chosen: argparse.Namespace
    workshop: Workshop

    @property
    def minutes(self) -> float:
        """Length."""
        return QUICK_MINUTES if self.chosen.quick else self.chosen.minutes

    def clock(self, part: str, share: float = 1.0) -> Callable[[], bool]:
        """Return whether there is time left for a part that begins now, or for a share of it."""
        parts = self.chosen.part or PARTS
        whole = 60 * self.minutes * SHARES[part] / sum(SHARES[each] for each in parts)
        end = time.perf_counter() + whole * share
        return lambda: time.perf_counter() < end

    def table(self, part: str) -> Callable[[], bool]:
        """Return the clock of a part that tries each command once, all of them but in haste."""
        return self.clock(part) if self.chosen.quick else lambda: True

    @property
    def commands(self) -> list[Command]:
        """Commands to try, in a random order."""
        found = [
            command
            for command in COMMANDS
            if command.name.startswith(self.chosen.only)
            and not (self.chosen.quick and command.trained)
        ]
        random.Random(self.chosen.seed).shuffle(found)
        return found


def parsed() -> argparse.Namespace:
    """Parse the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="about a minute, without training")
    parser.add_argument("--minutes", type=float, default=20.0, help="length (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="seed of kills and damage (default: 0)")
    parser.add_argument("--part", choices=PARTS, action="append", help="only this part")
    parser.add_argument("--full-disk", action="store_true", help="the same as --part full-disk")
    parser.add_argument("--only", default="", help="name of a command, or of a damaged input")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file")
    parser.add_argument("--kept", type=Path, metavar="DIR", help="folder for inputs of faults")
    chosen = parser.parse_args()
    if chosen.full_disk:
        chosen.part = [*(chosen.part or []), "full-disk"]
    return chosen


def in_pairs(jobs: Iterable[Callable[[], None]], goes_on: Callable[[], bool]) -> None:
    """Run jobs, some at a time, until the time is over."""
    source, lock = iter(jobs), threading.Lock()

    def work() -> None:
        while goes_on():
            with lock:
                job = next(source, None)
            if job is None:
                return
            job()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in [pool.submit(work) for _ in range(AT_ONCE)]:
            done.result()


def references(run: Run, record: Record) -> dict[str, kills.Reference]:
    """Run each command to its end."""
    found: dict[str, kills.Reference] = {}
    failed: list[str] = []

    def job(command: Command) -> Callable[[], None]:
        def run_it() -> None:
            try:
                found[command.name] = kills.reference(command, run.workshop)
            except ValueError as error:
                failed.append(f"{error}")

        return run_it

    in_pairs(map(job, run.commands), lambda: True)
    print(f"{len(found)} commands run to their end", *failed, sep="\n", flush=True)
    record.none("commands that fail alone", len(failed))
    return found


def kill(run: Run, expected: dict[str, kills.Reference], record: Record) -> None:
    """Kill the commands in turn until the time is over."""
    commands = [command for command in run.commands if command.name in expected]
    tallies = {command.name: kills.Tally() for command in commands}

    def job(command: Command, number: int) -> Callable[[], None]:
        def kill_it() -> None:
            seed = f"{run.chosen.seed}.{number}"
            found = kills.kill_and_compare(command, expected[command.name], run.workshop, seed)
            tallies[command.name] += found

        return kill_it

    def jobs() -> Iterator[Callable[[], None]]:
        for number in itertools.count():
            for command in commands:
                # A command that takes long gets its turn less often.
                if number % max(1, round(expected[command.name].seconds / 4)) == 0:
                    yield job(command, number)

    in_pairs(jobs(), run.clock("kills"))
    _print_kills(expected, commands, tallies)
    total = sum(tallies.values(), kills.Tally())
    goals = QUICK_GOALS if run.chosen.quick else GOALS
    killed = sum(tally.kills > 0 for tally in tallies.values())
    record.promises.append(Promise("kills", total.kills, goals["kills"]))
    record.promises.append(Promise("commands killed", killed, goals["commands"]))
    for kind in kills.KINDS:
        record.none(f"kills: {kind}", total.faults[kind])
    record.figures["kills"] = {
        name: {"kills": tally.kills, "reruns": tally.reruns, "faults": dict(tally.faults)}
        for name, tally in tallies.items()
    }


def _print_kills(
    expected: dict[str, kills.Reference], commands: list[Command], tallies: dict[str, kills.Tally]
) -> None:
    print(f"\n{'killed':<32}{'kills':>7}{'reruns':>8}  faults; what may differ")
    for command in sorted(commands, key=lambda each: each.name):
        tally = tallies[command.name]
        faults = ", ".join(f"{count} {kind}" for kind, count in (+tally.faults).items()) or "none"
        names = trees.matching(expected[command.name].tree, command.exempt)
        exempt = f"; {', '.join(names)} ({command.reason})" if names else ""
        print(f"{command.name:<32}{tally.kills:>7}{tally.reruns:>8}  {faults}{exempt}")
        for example in tally.examples[:5]:
            print(f"    {example}")


def damage(run: Run, record: Record) -> None:
    """Damage inputs until the time is over."""
    kept = run.chosen.kept or Path(tempfile.mkdtemp(prefix="reliability-"))
    kept.mkdir(parents=True, exist_ok=True)
    fuzzers: list[fuzz.Fuzzer] = []
    shares = {False: 1.0} if run.chosen.quick else {False: 0.75, True: 0.25}
    for trained, share in shares.items():
        workers = [fuzz.Worker(trained=trained) for _ in range(AT_ONCE)]
        group = [fuzz.Fuzzer(run.workshop, run.chosen.seed, kept, each) for each in workers]
        fuzzers += group
        _damage_by(group, _cases(run, trained=trained), run.clock("input", share))
        for worker in workers:
            worker.close()
    _report_damage(fuzzers, run, record, kept)


def _cases(run: Run, *, trained: bool) -> Iterator[fuzz.Case]:
    """Return the cases to try: one by its name, or all in turn."""
    only = run.chosen.only
    if not only.rpartition("/")[2].isdigit():
        return fuzz.cases(run.chosen.seed, trained=trained, only=only)
    case = fuzz.case(only)
    return iter([case] if case.target.trained == trained else [])


def _damage_by(
    fuzzers: list[fuzz.Fuzzer], cases: Iterator[fuzz.Case], goes_on: Callable[[], bool]
) -> None:
    """Let each fuzzer take the next case, until the time is over."""
    lock = threading.Lock()

    def work(fuzzer: fuzz.Fuzzer) -> None:
        while goes_on():
            with lock:
                case = next(cases, None)
            if case is None:
                break
            fuzzer.run(case)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(work, fuzzers))


def _report_damage(fuzzers: list[fuzz.Fuzzer], run: Run, record: Record, kept: Path) -> None:
    tallies = [(target.name, fuzz.total(fuzzers, target.name)) for target in corpus.TARGETS]
    print(f"\n{'damaged input':<38}{'tried':>7}{'refused':>9}{'right':>7}{'unjudged':>10}  faults")
    for name, tally in tallies:
        faults = ", ".join(f"{count} {kind}" for kind, count in tally.faults.items()) or "none"
        counts = f"{tally.tried:>7}{tally.refused:>9}{tally.right:>7}{tally.unjudged:>10}"
        if tally.tried:
            print(f"{name:<38}{counts}  {faults}")
    for fault in itertools.chain.from_iterable(each.faults for each in fuzzers):
        print(f"    {fault}")
    tried = sum(tally.tried for _, tally in tallies)
    goal = (QUICK_GOALS if run.chosen.quick else GOALS)["inputs"]
    record.promises.append(Promise("damaged inputs", tried, goal))
    for kind in fuzz.KINDS:
        record.none(f"damaged inputs: {kind}", sum(tally.faults[kind] for _, tally in tallies))
    record.figures["input"] = {
        name: {"tried": tally.tried, "faults": dict(tally.faults)} for name, tally in tallies
    }
    print(f"inputs of faults: {kept}")


def _with_rival(command: Command, alone: kills.Reference, run: Run) -> twice.Outcome:
    try:
        both = [alone, kills.reference(command.of_rival(), run.workshop)]
    except ValueError as error:
        return twice.Outcome(command.name, "the rival failed alone", f"{error}")
    return twice.at_once(command, both, run.workshop, f"{run.chosen.seed}")


def repeat(run: Run, expected: dict[str, kills.Reference], record: Record) -> None:
    """Run commands twice, and two at once."""
    tables: dict[str, list[twice.Outcome]] = {"twice": [], "at once": []}

    def job(command: Command) -> Callable[[], None]:
        def repeat_it() -> None:
            alone, seed = expected[command.name], f"{run.chosen.seed}"
            tables["twice"].append(twice.one_after_the_other(command, alone, run.workshop))
            tables["at once"].append(twice.at_once(command, [alone], run.workshop, seed))
            if command.rival and not command.trained:
                tables["at once"].append(_with_rival(command, alone, run))

        return repeat_it

    commands = [command for command in run.commands if command.name in expected]
    in_pairs(map(job, commands), run.table("twice"))
    for title, outcomes in tables.items():
        print(f"\n{title}")
        for each in sorted(outcomes, key=lambda outcome: outcome.name):
            print(f"{each.name:<48}{each.happened:<28}{each.fault}")
        record.none(f"commands that fail {title}", sum(bool(each.fault) for each in outcomes))
    record.figures["twice"] = {
        title: {each.name: [each.happened, each.fault] for each in outcomes}
        for title, outcomes in tables.items()
    }


def fill(run: Run, expected: dict[str, kills.Reference], record: Record) -> None:
    """Run commands on full disks."""
    if not full_disk.possible():
        print("\nfull disks: skipped, as this user can't mount a disk of memory")
        return
    fractions = full_disk.FRACTIONS[1:2] if run.chosen.quick else full_disk.FRACTIONS
    outcomes: list[full_disk.Outcome] = []

    def job(command: Command) -> Callable[[], None]:
        alone = expected[command.name]
        few = fractions[1:2] if command.trained else fractions
        return lambda: outcomes.append(full_disk.run(command, alone, run.workshop, few))

    commands = [command for command in run.commands if command.name in expected]
    in_pairs(map(job, commands), run.table("full-disk"))
    print(f"\n{'full disk':<32}{'failed':>8}{'fitted':>8}  faults")
    for each in sorted(outcomes, key=lambda outcome: outcome.name):
        faults = "; ".join(each.faults[:4]) or "none"
        print(f"{each.name:<32}{each.failed:>8}{each.fitted:>8}  {faults}")
    record.none("full disks: faults", sum(len(each.faults) for each in outcomes))
    record.figures["full disk"] = {each.name: each.faults for each in outcomes}


def main() -> None:
    """Make the inputs, try everything, and print what survived."""
    chosen, record = parsed(), Record()
    parts = chosen.part or list(PARTS)
    with tempfile.TemporaryDirectory(prefix="reliability-") as folder:
        workshop = Workshop(Path(folder))
        workshop.make(photos=6 if chosen.quick else 12, trained=not chosen.quick)
        run = Run(chosen, workshop)
        expected = references(run, record) if set(parts) - {"input"} else {}
        if "kills" in parts:
            kill(run, expected, record)
        if "twice" in parts:
            repeat(run, expected, record)
        if "full-disk" in parts:
            fill(run, expected, record)
        if "input" in parts:
            corpus.complete(workshop, trained=not chosen.quick)
            damage(run, record)
    finish(record.promises, record.figures, chosen.json)


if __name__ == "__main__":
    main()
