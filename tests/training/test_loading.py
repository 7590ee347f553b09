import multiprocessing
import os
import signal
from itertools import islice

import pytest
from torch.utils.data import DataLoader

import factories
from jsisnet.data.sources import Sources
from jsisnet.data.stream import Stream, StreamSampler
from jsisnet.data.transforms import TransformConfig
from jsisnet.formats.dataset import DataConfig
from jsisnet.training.loading import LostWorkerError, explaining_lost_workers, load

REMEDY = r"docker run --shm-size 8g.*--train\.workers 0"


@pytest.fixture
def batches(tmp_path):
    data = factories.tiny_dataset(tmp_path, count=2)
    photos = DataConfig(images=str(data.images), annotations=str(data.annotations))
    return load(
        Stream(Sources([photos]), TransformConfig(size=(16, 24))),
        StreamSampler(),
        batch_size=2,
        accumulate=1,
        workers=1,
        pin_memory=False,
    )


def killing_the_worker(batches):
    """Take the first batch, kill the worker, and take what is left."""
    with explaining_lost_workers():
        next(batches)
        (worker,) = multiprocessing.active_children()
        os.kill(worker.pid, signal.SIGKILL)
        return list(islice(batches, 100))


def test_a_killed_worker_ends_the_training_in_one_sentence(batches):
    with pytest.raises(LostWorkerError, match=f"data-loading process was killed.*{REMEDY}"):
        killing_the_worker(batches)

    assert not multiprocessing.active_children()


def test_a_full_shared_memory_is_named(batches, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(DataLoader, "__iter__", full)

    with pytest.raises(LostWorkerError, match=rf"No space left on device.*/dev/shm; .*{REMEDY}"):
        next(batches)


def test_other_errors_of_a_worker_are_left_as_they_are():
    with pytest.raises(RuntimeError, match="shapes differ"), explaining_lost_workers():
        raise RuntimeError("Caught RuntimeError in DataLoader worker process 0. shapes differ")
