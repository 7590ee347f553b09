"""The server's process, and clients in threads of this one."""

import http.client
import json
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from serving.requests import PATH, Bad

MODEL = "coco"

BAD_SHARE = 0.25
"""Share of the requests that are bad."""

READ_TIMEOUT = 2
"""Seconds that the server waits for a slow client."""

TIMEOUT, OK = 60, 200


@dataclass(frozen=True)
class Reply:
    """What a client got: the status, or 0 if the connection ended without an answer."""

    kind: str
    expected: int
    status: int
    seconds: float


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
