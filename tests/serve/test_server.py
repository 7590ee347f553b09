import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Thread
from urllib.request import urlopen

import pytest

from jsisnet.serve import Limits, ServerConfig, run_server
from jsisnet.serve.connections import BoundedProtocol
from jsisnet.serve.server import _url
from toy_work import GREY

pytestmark = pytest.mark.slow

SERVER = """
import sys
from jsisnet.serve import AppConfig, Limits, Pool, PoolConfig, ServerConfig, run_server
from jsisnet.serve.logs import configure
from toy_work import ToyWork

if __name__ == "__main__":
    configure()
    limits = Limits(read_seconds=1.5, connections=8)
    pool = Pool(ToyWork(model=sys.argv[1], seconds=0.5), PoolConfig(workers=1))
    config = ServerConfig(port=0, grace=int(sys.argv[2]), app=AppConfig(limits=limits))
    run_server({"toy": pool}, config, lambda url: print(url, flush=True))
"""
KIND = {"Content-Type": "image/png"}


class Server:
    def __init__(self, command, environment, errors):
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True
        )
        self.line = self.process.stdout.readline()
        self.port = int(re.search(r"http://127.0.0.1:(\d+)", self.line)[1])

    def post(self, content=GREY, path="/v1/panoptic"):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with closing(connection):
            connection.request("POST", path, content, KIND)
            response = connection.getresponse()
            return response.status, json.loads(response.read())

    def metrics(self):
        with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as response:
            return response.read().decode()

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@contextmanager
def started(tmp_path, grace):
    (tmp_path / "model").write_text("first")
    (tmp_path / "server.py").write_text(SERVER)
    support = Path(__file__).parents[1] / "support"
    paths = os.pathsep.join([str(support), *filter(None, [os.environ.get("PYTHONPATH")])])
    with (tmp_path / "log").open("w") as errors:
        command = [sys.executable, tmp_path / "server.py", tmp_path / "model", str(grace)]
        server = Server(command, os.environ | {"PYTHONPATH": paths}, errors)
        server.log = tmp_path / "log"
        yield server
        server.end()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Start a server; the last test that uses it stops it."""
    with started(tmp_path_factory.mktemp("server"), 30) as server:
        yield server


def test_connections_without_a_request_give_way_and_are_closed(server):
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(12)]
    slow[-1].sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")

    assert server.post()[0] == 200

    for connection in slow:
        connection.settimeout(10)
        with connection, suppress(ConnectionResetError):
            assert connection.recv(1) == b""


def test_connections_that_are_kept_alive_give_way(server):
    idle = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=10) for _ in range(8)]
    for connection in idle:
        connection.request("GET", "/healthz")
        assert connection.getresponse().read()

    assert server.post()[0] == 200
    for connection in idle:
        connection.close()


def test_a_header_without_end_is_refused(server):
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.settimeout(10)
        connection.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 60_000)
        assert connection.recv(100).startswith(b"HTTP/1.1 400")


def test_a_client_hears_of_a_body_that_is_too_large_while_it_sends_it(server):
    status, problem = server.post(bytes(40_000_000))

    assert status == 413
    assert "larger than 32 MiB" in problem["detail"]


def test_after_sigterm_accepted_requests_are_finished(server):
    found = []
    threads = [Thread(target=lambda: found.append(server.post())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(1000):
        if re.search(r"^jsisnet_queue_photos\S* 2.0$", server.metrics(), re.MULTILINE):
            break
        time.sleep(0.01)
    server.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(30)

    assert server.process.wait(30) == 0
    assert [status for status, _ in found] == [200, 200, 200]
    with pytest.raises(ConnectionRefusedError):
        server.post()
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert [line["status"] for line in lines[-3:]] == [200, 200, 200]


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT, signal.SIGINT]])
def test_requests_that_are_not_finished_in_time_hear_of_it(tmp_path, signals):
    found = []
    with started(tmp_path, 1) as server:
        threads = [Thread(target=lambda: found.append(server.post())) for _ in range(5)]
        for thread in threads:
            thread.start()
        time.sleep(0.2)  # each takes half a second
        for number in signals:
            server.process.send_signal(number)
            time.sleep(0.05)  # signals that arrive together are one
        for thread in threads:
            thread.join(30)

        assert server.process.wait(30) == 0
        assert "Traceback" not in server.log.read_text()
    status, problem = max(found, key=lambda each: each[0])
    assert (status, problem["detail"]) == (503, "the server is shutting down")
    assert {each[0] for each in found} <= {200, 503}


def test_the_command_serves_a_built_in_model(tmp_path):
    with (tmp_path / "log").open("w") as errors:
        command = [sys.executable, "-m", "jsisnet", "serve", "-m", "street", "-p", "0"]
        server = Server([*command, "--workers", "1"], os.environ, errors)
    try:
        assert re.fullmatch(r"Serving street on http://\S+ \(1 worker\)\n", server.line)
        status, found = server.post()
        server.process.send_signal(signal.SIGTERM)
        assert (status, found["model"]) == (200, "street")
        assert server.process.wait(30) == 0
    finally:
        server.end()


@pytest.mark.parametrize("host", ["a..b", "x" * 70])
def test_a_host_that_can_not_be_is_an_error(host):
    with pytest.raises(ValueError, match=f"{host}:8000: can't listen there"):
        run_server({}, ServerConfig(host=host), print)


def test_a_port_that_is_taken_while_the_models_are_loaded_is_an_error(pool, caplog):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    others = []

    def start():
        if not others:
            others.append(socket.create_server(("127.0.0.1", port)))
        return type(pool).start(pool)

    pool.start = start
    with pytest.raises(ValueError, match=f"{port}: can't listen there .*choose another --port"):
        run_server({"toy": pool}, ServerConfig(port=port), print)
    others[0].close()
    assert "Traceback" not in caplog.text


def test_a_port_in_use_is_an_error_before_a_model_is_loaded():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match="choose another --port"):
            run_server({}, ServerConfig(port=port), print)


@pytest.mark.parametrize(
    ("host", "address", "url"),
    [
        ("0.0.0.0", "0.0.0.0", "http://127.0.0.1:80"),
        ("::", "::", "http://[::1]:80"),
        ("localhost", "127.0.0.1", "http://localhost:80"),
        ("::1", "::1", "http://[::1]:80"),
    ],
)
def test_the_address_that_is_told_can_be_opened(host, address, url):
    assert _url(host, address, 80) == url


def test_of_responses_that_nobody_reads_the_largest_is_dropped():
    class Transport:
        def __init__(self, unread):
            self.unread, self.closed = unread, False

        def get_write_buffer_size(self):
            return self.unread

        def abort(self):
            self.closed = True

    protocol = BoundedProtocol.within(Limits(held=10))
    connections = set()
    for unread in (0, 4, 7):
        connection = protocol.__new__(protocol)
        connection.transport, connection._deadline = Transport(unread), None
        connection.connections = connections
        connections.add(connection)
    connection._bound_unread()

    assert [each.transport.unread for each in connections if each.transport.closed] == [7]
