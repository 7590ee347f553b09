import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from jsisnet.panoptic import PanopticMap
from jsisnet.serve.batcher import Batcher


def photo(value):
    return np.full((2, 2, 3), value, np.uint8)


def test_photos_of_several_threads_share_batches_and_get_their_own_results():
    sizes, running = [], threading.Event()

    def run(photos):
        running.wait(5)
        sizes.append(len(photos))
        return [PanopticMap(np.zeros((1, int(each[0, 0, 0]) + 1), np.int32), ()) for each in photos]

    batcher = Batcher(run, 4, patience=2.0)
    with ThreadPoolExecutor(8) as executor:
        futures = [executor.submit(batcher, photo(value)) for value in range(8)]
        running.set()
        found = [future.result(10) for future in futures]

    assert [each.size[1] for each in found] == list(range(1, 9))
    assert sizes == [4, 4]


def test_only_the_photo_that_fails_fails():
    def run(photos):
        if any(each[0, 0, 0] == 1 for each in photos):
            raise RuntimeError("out of memory")
        return [PanopticMap(np.zeros((1, 1), np.int32), ()) for _ in photos]

    batcher = Batcher(run, 4, patience=2.0)
    with ThreadPoolExecutor(4) as executor:
        futures = [executor.submit(batcher, photo(value)) for value in range(4)]
        errors = [future.exception(10) for future in futures]

    assert [error and str(error) for error in errors] == [None, "out of memory", None, None]
