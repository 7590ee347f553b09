"""Start of the command line: `jsisnet score --help` against importing NumPy.

Each run is a new interpreter. Users wait for the wall time; the CPU time varies less on a busy
machine.
"""

import resource
import statistics
import subprocess
import sys
import time

from harness import Promise, finish, options, row

GOAL = 2.2
"""How many times as long as ``import numpy`` the help of `score` may take, Python included."""

PROGRAMS = {
    "python": "pass",
    "import numpy": "import numpy",
    "jsisnet --help": "sys.argv[1:] = ['--help']; sys.exit(main())",
    "jsisnet score --help": "sys.argv[1:] = ['score', '--help']; sys.exit(main())",
}
"""What to time; the commands start as the installed script does."""

SCRIPT = "import sys; from jsisnet.cli import main; "


def main() -> None:
    """Time the programs in turn."""
    chosen = options(__doc__)
    wall: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    cpu: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for number in range(6 if chosen.quick else 31):
        for name, program in PROGRAMS.items():
            seconds = run(SCRIPT + program if "main()" in program else program)
            if number:  # the first round fills the disk cache
                wall[name].append(seconds[0])
                cpu[name].append(seconds[1])
    for kind, timings in (("wall", wall), ("CPU", cpu)):
        for name, values in timings.items():
            print(row(f"{name}, {kind}", values))
    promises = [
        Promise(f"start of score --help, {kind} times import numpy", ratio(each), GOAL, True)
        for kind, each in (("wall", wall), ("CPU", cpu))
    ]
    finish(promises, {"wall": wall, "cpu": cpu}, chosen.json)


def run(program: str) -> tuple[float, float]:
    """Run a program in a new interpreter; return its seconds of wall and CPU time."""
    before, began = cpu_of_children(), time.perf_counter()
    subprocess.run([sys.executable, "-c", program], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began, cpu_of_children() - before


def cpu_of_children() -> float:
    """Return the CPU time of all finished child processes, in seconds."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def ratio(seconds: dict[str, list[float]]) -> float:
    """Return how many times as long as ``import numpy`` the help takes."""
    return statistics.median(seconds["jsisnet score --help"]) / statistics.median(
        seconds["import numpy"]
    )


if __name__ == "__main__":
    main()
