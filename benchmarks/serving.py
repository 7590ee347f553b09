"""`jsisnet serve` under load from another process: speed, memory, bad requests, and signals.

The server runs `coco` with one worker a core. Its throughput is compared with that of as many
processes that call the model directly, in turn. Then 32 clients send good and bad requests for two
minutes; workers are killed; and the server gets SIGTERM while it is busy. All of it takes place on
the loopback interface. With --quick, it takes about a minute.
"""

import multiprocessing
import os
import random
import signal
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from harness import Promise, finish, options
from serving.load import MODEL, OK, Load, Server
from serving.requests import bad_requests, photos

from jsisnet.inference.predictor import Predictor

CLIENTS, FEW = 32, 8


@dataclass(frozen=True)
class Lengths:
    """Seconds of each part."""

    rounds: int = 8
    turn: float = 5.0
    single: int = 6
    mixed: float = 120.0
    warm: float = 20.0
    """Time after which memory may not grow."""
    kills: int = 5


QUICK = Lengths(rounds=3, turn=3.0, single=4, mixed=24.0, warm=8.0, kills=2)


def bare(connection: Connection, content: list[bytes]) -> None:
    """Call the model directly, for as many seconds as a pipe says, and count the photos."""
    predictor = Predictor(MODEL, threads=1)
    predictor(content[0])
    connection.send(0)
    while seconds := connection.recv():
        end, count = time.perf_counter() + seconds, 0
        while time.perf_counter() < end:
            predictor(content[count % len(content)])
            count += 1
        connection.send(count)


def cpu_time(processes: Sequence[int]) -> float:
    """Return the seconds of CPU time that processes have taken."""
    ticks = 0
    for each in processes:
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Engines:
    """Processes that call the model directly."""

    pipes: list[Connection]
    processes: list[int]

    def count(self, seconds: float) -> int:
        """Run all of them for a time, and return the number of photos."""
        for pipe in self.pipes:
            pipe.send(seconds)
        return sum(pipe.recv() for pipe in self.pipes)


@contextmanager
def engines(count: int, content: list[bytes]) -> Iterator[Engines]:
    """Start processes that call the model directly."""
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in range(count)]
    processes = [context.Process(target=bare, args=(theirs, content)) for _, theirs in pipes]
    for process in processes:
        process.start()
    for ours, _ in pipes:
        ours.recv()
    yield Engines([ours for ours, _ in pipes], [process.pid or 0 for process in processes])
    for ours, _ in pipes:
        ours.send(0)
    for process in processes:
        process.join()


@dataclass
class Speed:
    """Photos a second in each turn, of wall and of CPU time."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def measure(self, processes: Sequence[int], run: Callable[[], int]) -> None:
        """Add a turn, in which some processes segment as many photos as a call returns."""
        wall, cpu = time.perf_counter(), cpu_time(processes)
        count = run()
        self.wall.append(count / (time.perf_counter() - wall))
        self.cpu.append(count / (cpu_time(processes) - cpu))


def speeds(server: Server, content: list[bytes], lengths: Lengths) -> dict[str, Speed]:
    """Measure the engine alone and the server, in turn."""
    found = {"engine": Speed(), "server": Speed()}

    def serve() -> int:
        load = Load(server, content)
        with load.running(FEW):
            time.sleep(lengths.turn)
        return len(load.replies)

    with engines(server.workers, content) as alone:
        for _ in range(lengths.rounds):
            found["engine"].measure(alone.processes, lambda: alone.count(lengths.turn))
            found["server"].measure([server.process.pid, *server.children()], serve)
    for name, speed in found.items():
        middle, cpu = statistics.median(speed.wall), statistics.median(speed.cpu)
        print(f"{name}: {middle:.2f} photos/s, {cpu:.2f} per second of CPU time")
    return found


def ratio(server: Sequence[float], engine: Sequence[float]) -> float:
    """Return the median of the ratios in each pair of turns."""
    return statistics.median(a / b for a, b in zip(server, engine, strict=True))


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Return the 50th, 95th and 99th percentile in milliseconds."""
    return {f"p{share}": float(np.percentile(seconds, share)) * 1e3 for share in (50, 95, 99)}


def latencies(server: Server, content: list[bytes], lengths: Lengths) -> dict[str, float]:
    """Return times of one client and of several, in turn, in milliseconds, and their ratio.

    The ratio is the median of the rounds, because other programs slow some of them down.
    """
    single: list[float] = []
    several: list[float] = []
    ratios = []
    for _ in range(lengths.rounds):
        alone, load = Load(server, content), Load(server, content)
        own = [alone.one(random.Random(number)).seconds for number in range(lengths.single)]
        with load.running(FEW):
            time.sleep(lengths.turn)
        times = [reply.seconds for reply in load.replies]
        ratios.append(float(np.percentile(times, 95)) / statistics.median(own))
        single += own
        several += times
    middle = statistics.median(single) * 1e3
    return {"single": middle, **percentiles(several), "p95_over_single": statistics.median(ratios)}


def mixed(server: Server, content: list[bytes], lengths: Lengths) -> tuple[Load, float]:
    """Send good and bad requests; return the replies, and the growth of memory as a share."""
    load = Load(server, content, bad_requests(content[0]))
    samples: list[tuple[float, float]] = []
    began = time.perf_counter()
    with load.running(CLIENTS):
        while (now := time.perf_counter() - began) < lengths.mixed:
            samples.append((now, server.memory()))
            time.sleep(0.5)
    window = lengths.warm / 4
    before = [
        value for at, value in samples if lengths.warm - window <= at <= lengths.warm + window
    ]
    after = [value for at, value in samples if at >= lengths.mixed - 2 * window]
    first, last = statistics.median(before), statistics.median(after)
    print(f"memory: {first:.0f} MiB after {lengths.warm:.0f} s, {last:.0f} MiB at the end")
    return load, last / first - 1


def killed(server: Server, content: list[bytes], kills: int) -> tuple[Load, float]:
    """Kill workers while clients wait; return the replies and the number of restarts."""
    load, before = Load(server, content), server.metric("jsisnet_worker_restarts_total")
    draw = random.Random(0)
    with load.running(FEW):
        for _ in range(kills):
            time.sleep(draw.uniform(0.5, 1.5))
            os.kill(draw.choice(server.children()), signal.SIGKILL)
            while server.state()[1] == server.workers:
                time.sleep(0.002)
            while server.state()[1] < server.workers:
                time.sleep(0.05)
    return load, server.metric("jsisnet_worker_restarts_total") - before


def terminated(server: Server, content: list[bytes]) -> tuple[int, int, int]:
    """Send SIGTERM to the busy server; return accepted and lost requests, and the exit code."""
    load = Load(server, content)
    threads = [
        threading.Thread(target=lambda n=n: load.replies.append(load.one(random.Random(n))))
        for n in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    while server.metric("jsisnet_queue_photos") < CLIENTS // 2:
        time.sleep(0.01)
    code = server.stop()
    for thread in threads:
        thread.join()
    return len(threads), sum(reply.status != OK for reply in load.replies), code


def table(load: Load) -> dict[str, object]:
    """Print and return the replies by what was sent, and the latency of the good ones."""
    counts = Counter((reply.kind, reply.expected, reply.status) for reply in load.replies)
    for (kind, expected, status), count in sorted(counts.items()):
        print(f"{kind:<24} expected {expected:>3}   got {status:>3}   {count:>6}")
    times = percentiles([reply.seconds for reply in load.replies if reply.kind == "good"])
    print("good requests: " + ", ".join(f"{name} {value:.0f} ms" for name, value in times.items()))
    rows = [{"kind": k, "expected": e, "got": s, "count": n} for (k, e, s), n in counts.items()]
    return {"replies": rows, "latency_ms": times}


def failures(load: Load, *, good: bool) -> int:
    """Count the replies to good, or to bad requests that are not as expected."""
    chosen = (reply for reply in load.replies if (reply.kind == "good") == good)
    return sum(reply.status != reply.expected for reply in chosen)


def main() -> None:
    """Run all parts."""
    chosen = options(__doc__ or "")
    lengths, content = QUICK if chosen.quick else Lengths(), photos()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder, "log"))
        speed = speeds(server, content, lengths)
        waits = latencies(server, content, lengths)
        print("latency: " + ", ".join(f"{name} {value:.4g}" for name, value in waits.items()))
        load, growth = mixed(server, content, lengths)
        figures = table(load)
        kills, restarts = killed(server, content, lengths.kills)
        sent, lost, code = terminated(server, content)
    mine, alone = speed["server"], speed["engine"]
    none = {
        "good requests that failed": failures(load, good=True),
        "bad requests with another status": failures(load, good=False),
        f"of {len(kills.replies)} requests lost to {restarts:.0f} killed workers": failures(
            kills, good=True
        ),
        f"of {sent} accepted requests lost to SIGTERM": lost,
        "exit code after SIGTERM": code,
    }
    promises = [
        Promise("throughput over the engine's", ratio(mine.wall, alone.wall), 0.85),
        Promise("photos a CPU second over the engine's", ratio(mine.cpu, alone.cpu), 0.85),
        Promise("p95 at 8 clients over one's", waits["p95_over_single"], 10, True),
        Promise("growth of memory", growth, 0.05, True),
        *(Promise(name, count, 0, lower_is_better=True) for name, count in none.items()),
        Promise("requests of the mix", len(load.replies), 2 * lengths.mixed),
    ]
    figures |= {name: asdict(each) for name, each in speed.items()} | waits
    finish(promises, figures, chosen.json)


if __name__ == "__main__":
    main()
