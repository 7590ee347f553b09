from threading import Event, Thread

import numpy as np
import pytest
from starlette.testclient import TestClient

from jsisnet.inference.predictor import Predictor
from jsisnet.serve import AppConfig, Pool, Work, create_app
from jsisnet.serve.job_queue import Job
from jsisnet.serve.segmenter import Segmenter
from toy_engine import Toy
from toy_work import png


class ThreadPool(Pool):
    """A pool that answers in a thread of this process, once it is allowed to."""

    def __init__(self, max_pixels=1_000_000):
        super().__init__(Work(model="toy"))
        self.predictor = Predictor(Toy())
        self.segmenter = Segmenter(self.predictor, max_pixels)
        self.open = Event()
        self.open.set()
        self.jobs = []
        self.broken = None

    def start(self):
        self._state.description = self.segmenter.describe()
        self._state.ready = 0 if self.broken else 1
        self._state.failure = self.broken
        return self.description

    def submit(self, task):
        self.jobs.append(Job(task))
        Thread(target=self._answer, args=(self.jobs[-1],)).start()
        return self.jobs[-1].future

    def _answer(self, job):
        self.open.wait(10)
        if job.future.set_running_or_notify_cancel():
            job.future.set_result(self.segmenter(job.task))


@pytest.fixture
def pool():
    return ThreadPool()


@pytest.fixture
def serving(pool):
    """Return a function that starts an app for a model named toy, and returns a client."""
    clients = []

    def start(config=None, **pools):
        app = create_app(pools or {"toy": pool}, config or AppConfig())
        client = TestClient(app, raise_server_exceptions=False)
        clients.append(client)
        return client.__enter__()

    yield start
    for client in clients:
        client.__exit__()


@pytest.fixture
def photo():
    """Return a PNG of 12 x 10 pixels: grey, with a red square."""
    image = np.full((10, 12, 3), 90, np.uint8)
    image[2:6, 3:8] = (250, 0, 0)
    return png(image)
