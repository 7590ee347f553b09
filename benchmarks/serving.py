"""`jsisnet serve` under load from another process: speed, memory, bad requests, and signals.

The server runs `coco` with one worker a core. Its throughput is compared with that of as many
processes that call the model directly, in turn. Then 32 clients send good and bad requests for two
minutes; workers are killed; and the server gets SIGTERM while it is busy. All of it takes place on
the loopback interface. With --quick, it takes about a minute.
"""

import http.client
import io
import json
import multiprocessing
import os
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from harness import Promise, finish, options, scene
from PIL import Image

from jsisnet.files.processes import available_cores
from jsisnet.inference.predictor import Predictor

MODEL, SIZE = "coco", (480, 640)
PHOTOS, CLIENTS, FEW = 12, 32, 8
BAD_SHARE = 0.25
"""Share of the requests that are bad."""

READ_TIMEOUT = 2
"""Seconds that the server waits for a slow client."""

PATH = "/v1/panoptic?masks=rle"
TIMEOUT, OK = 60, 200


@dataclass(frozen=True)
class Lengths:
    """Seconds of each part."""

    rounds: int = 4
    turn: float = 12.0
    single: int = 40
    mixed: float = 120.0
    warm: float = 20.0
    """Time after which memory may not grow."""
    kills: int = 5


QUICK = Lengths(rounds=2, turn=5.0, single=12, mixed=24.0, warm=8.0, kills=2)


@dataclass(frozen=True)
class Reply:
    """What a client got: the status, or 0 if the connection ended without an answer."""

    kind: str
    expected: int
    status: int
    seconds: float


@dataclass(frozen=True)
class Bad:
    """A request that must be refused."""

    expected: int
    body: bytes
    path: str = PATH
    kind: str = "image/jpeg"


def encoded(image: np.ndarray, kind: str = "JPEG") -> bytes:
    """Return an image as the content of a file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind)
    return buffer.getvalue()


def photos() -> list[bytes]:
    """Generate photos."""
    return [encoded(scene(number, SIZE)[0]) for number in range(PHOTOS)]


def bomb() -> bytes:
    """Return a PNG of 900 million pixels in a few bytes."""
    content = encoded(np.zeros((1, 1, 3), np.uint8), "PNG")
    header = b"IHDR" + (30_000).to_bytes(4, "big") * 2 + content[24:29]
    return content[:12] + header + zlib.crc32(header).to_bytes(4, "big") + content[33:]


def bad_requests(photo: bytes) -> dict[str, Bad]:
    """Return a request of each kind that must be refused, by what is wrong."""
    form = "multipart/form-data; boundary=x"
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    return {
        "junk": Bad(422, os.urandom(5000)),
        "truncated photo": Bad(422, photo[: len(photo) // 2]),
        "zip": Bad(422, b"PK\x03\x04" + bytes(3000)),
        "empty": Bad(422, b""),
        "pixel bomb": Bad(413, bomb()),
        "large body": Bad(413, bytes(33 * 2**20)),
        "wrong type": Bad(415, photo, kind="text/html"),
        "unknown model": Bad(404, photo, "/v1/panoptic?model=none"),
        "unknown class": Bad(422, photo, "/v1/panoptic?classes=unicorn"),
        "bad score": Bad(422, photo, "/v1/panoptic?min_score=7"),
        "unknown option": Bad(422, photo, "/v1/panoptic?size=9"),
        "truncated form": Bad(422, head + photo[:900], kind=form),
        "form without photo": Bad(422, b"--x--\r\n", kind=form),
        "other method": Bad(405, b"", "/v1/models"),
    }


class Server:
    """The server's process."""

    def __init__(self, log: Path) -> None:
        command = [sys.executable, "-m", "jsisnet", "serve", "--port", "0", "--model", MODEL]
        command += ["--read-timeout", str(READ_TIMEOUT)]
        self.errors = log.open("w")
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self.errors, text=True
        )
        assert self.process.stdout is not None
        found = re.search(r":(\d+) \((\d+) workers?\)", self.process.stdout.readline())
        assert found is not None, log.read_text()
        self.port, self.workers = int(found[1]), int(found[2])
        while self.state()[0] != OK or self.state()[1] < self.workers:
            time.sleep(0.05)

    def state(self) -> tuple[int, int]:
        """Return the status of /readyz, and the number of workers that are ready."""
        status, content = self.send("GET", "/readyz", b"", "text/plain")
        return status, json.loads(content)["workers"][MODEL]

    def send(self, method: str, path: str, body: bytes, kind: str) -> tuple[int, bytes]:
        """Send a request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        try:
            connection.request(method, path, body, {"Content-Type": kind})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def metric(self, name: str) -> float:
        """Return the value of a metric."""
        text = self.send("GET", "/metrics", b"", "text/plain")[1].decode()
        return sum(float(each) for each in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.M))

    def children(self) -> list[int]:
        """Return the ids of the workers."""
        own = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        tasks = own.parents[1].glob("*/children")
        ids = {int(each) for task in tasks for each in task.read_text().split()}
        return [each for each in ids if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()]

    def memory(self) -> float:
        """Return the resident memory of all processes in MiB, shared pages counted once."""
        total = 0
        for each in (self.process.pid, *self.children()):
            with suppress(OSError):
                lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
                total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return total / 2**10

    def stop(self) -> int:
        """Send SIGTERM, and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(TIMEOUT)
        finally:
            self.process.kill()
            self.errors.close()


@dataclass
class Load:
    """Clients, and the replies that they got."""

    server: Server
    good: list[bytes]
    bad: dict[str, Bad] = field(default_factory=dict)
    replies: list[Reply] = field(default_factory=list)

    @contextmanager
    def running(self, clients: int) -> Iterator[None]:
        """Run clients while the block is executed; each finishes its last request."""
        end = threading.Event()
        threads = [
            threading.Thread(target=self._client, args=(number, end)) for number in range(clients)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            end.set()
            for thread in threads:
                thread.join()

    def _client(self, number: int, end: threading.Event) -> None:
        draw = random.Random(number)
        while not end.is_set():
            self.replies.append(self.one(draw))

    def one(self, draw: random.Random) -> Reply:
        """Send a request and return its reply."""
        if self.bad and draw.random() < BAD_SHARE:
            kind = draw.choice([*self.bad, "slow", "leaves"])
            expected, send = self._bad(kind)
        else:
            kind, expected = "good", OK
            photo = draw.choice(self.good)
            send = lambda: self.server.send("POST", PATH, photo, "image/jpeg")[0]  # noqa: E731
        began, status = time.perf_counter(), 0
        with suppress(OSError, http.client.HTTPException):
            status = send()
        return Reply(kind, expected, status, time.perf_counter() - began)

    def _bad(self, kind: str) -> tuple[int, Callable[[], int]]:
        if kind == "slow":
            return 408, lambda: self._part_of_a_request(waits=True)
        if kind == "leaves":
            return 0, lambda: self._part_of_a_request(waits=False)
        bad = self.bad[kind]
        return bad.expected, lambda: self.server.send("POST", bad.path, bad.body, bad.kind)[0]

    def _part_of_a_request(self, *, waits: bool) -> int:
        """Send half of a photo; then wait for the answer, or leave."""
        photo = self.good[0]
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
        with socket.create_connection(("127.0.0.1", self.server.port), TIMEOUT) as connection:
            connection.sendall(f"{head}Content-Length: {len(photo)}\r\n\r\n".encode())
            connection.sendall(photo[: len(photo) // 2])
            return int(connection.recv(100).split()[1]) if waits else 0


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


@contextmanager
def engines(count: int, content: list[bytes]) -> Iterator[list[Connection]]:
    """Start processes that call the model directly."""
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in range(count)]
    processes = [context.Process(target=bare, args=(theirs, content)) for _, theirs in pipes]
    for process in processes:
        process.start()
    for ours, _ in pipes:
        ours.recv()
    yield [ours for ours, _ in pipes]
    for ours, _ in pipes:
        ours.send(0)
    for process in processes:
        process.join()


def throughputs(server: Server, content: list[bytes], lengths: Lengths) -> dict[str, list[float]]:
    """Return photos a second of the engine alone and of the server, in turn."""
    found: dict[str, list[float]] = {"engine": [], "server": []}
    with engines(server.workers, content) as pipes:
        for _ in range(lengths.rounds):
            for pipe in pipes:
                pipe.send(lengths.turn)
            found["engine"].append(sum(pipe.recv() for pipe in pipes) / lengths.turn)
            load = Load(server, content)
            began = time.perf_counter()
            with load.running(FEW):
                time.sleep(lengths.turn)
            found["server"].append(len(load.replies) / (time.perf_counter() - began))
    return found


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Return the 50th, 95th and 99th percentile in milliseconds."""
    return {f"p{share}": float(np.percentile(seconds, share)) * 1e3 for share in (50, 95, 99)}


def latencies(server: Server, content: list[bytes], lengths: Lengths) -> dict[str, float]:
    """Return the median time of one client, and the percentiles of several, in milliseconds."""
    alone = Load(server, content)
    single = [alone.one(random.Random(number)).seconds for number in range(lengths.single)]
    load = Load(server, content)
    with load.running(FEW):
        time.sleep(lengths.turn)
    found = percentiles([reply.seconds for reply in load.replies])
    return {"single": statistics.median(single) * 1e3, **found}


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
        speed = throughputs(server, content, lengths)
        ratios = [b / a for a, b in zip(speed["engine"], speed["server"], strict=True)]
        for name, values in speed.items():
            print(f"{name}: {', '.join(f'{value:.2f}' for value in values)} photos/s")
        waits = latencies(server, content, lengths)
        print("latency: " + ", ".join(f"{name} {value:.0f} ms" for name, value in waits.items()))
        load, growth = mixed(server, content, lengths)
        figures = table(load)
        kills, restarts = killed(server, content, lengths.kills)
        sent, lost, code = terminated(server, content)
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
        Promise("throughput over the engine's", statistics.median(ratios), 0.85),
        Promise("p95 at 8 clients over one's", waits["p95"] / waits["single"], 10, True),
        Promise("growth of memory", growth, 0.05, True),
        *(Promise(name, count, 0, lower_is_better=True) for name, count in none.items()),
        Promise("requests of the mix", len(load.replies), 5 * lengths.mixed),
    ]
    finish(promises, {"cores": available_cores(), **speed, **waits, **figures}, chosen.json)


if __name__ == "__main__":
    main()
