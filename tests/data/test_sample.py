import pickle
from multiprocessing.reduction import ForkingPickler

import torch

from jsisnet.data.sample import Batch, Example, Objects, collate
from jsisnet.training.fabric import Fabric


def example(image_id, *, value, objects):
    """Return a uniform example of 2x3 pixels."""
    return Example(
        image=torch.full((3, 2, 3), value, dtype=torch.uint8),
        semantic=torch.full((2, 3), 7, dtype=torch.uint8),
        instance_ids=torch.full((2, 3), objects, dtype=torch.int32),
        objects=Objects(
            boxes=torch.rand(objects, 4),
            channels=torch.zeros(objects, dtype=torch.int64),
            crowds=torch.zeros(0, 4),
        ),
        labelled=torch.tensor([True, False]),
        seed=value,
        image_id=image_id,
    )


def batch():
    return collate([example("a", value=255, objects=2), example(5, value=51, objects=0)])


def tensors(of: Batch):
    each = [tensor for o in of.objects for tensor in (o.boxes, o.channels, o.crowds)]
    return [of.images, of.semantic, of.instance_ids, of.labelled, *each]


def test_examples_are_stacked_in_order():
    stacked = batch()

    assert stacked.image_ids == ("a", 5)
    assert [len(objects) for objects in stacked.objects] == [2, 0]
    assert stacked.instance_ids[:, 0, 0].tolist() == [2, 0]
    assert stacked.semantic.shape == (2, 2, 3)
    assert stacked.images[:, 0, 0, 0].tolist() == [255, 51]
    assert stacked.labelled.tolist() == [[True, False], [True, False]]
    assert stacked.seeds == (255, 51)


def test_a_worker_sends_a_batch_without_shared_memory():
    original = batch()
    sent = ForkingPickler.dumps(original)

    received = pickle.loads(sent)

    assert all(map(torch.equal, tensors(received), tensors(original)))
    assert (received.seeds, received.image_ids) == ((255, 51), ("a", 5))
    assert received.instance_ids.dtype == torch.int32
    assert b"torch" not in bytes(sent)


def test_a_batch_has_the_length_of_its_images():
    assert len(batch()) == 2


def test_every_tensor_goes_to_the_device():
    moved = batch().to("meta")

    assert {tensor.device.type for tensor in tensors(moved)} == {"meta"}
    assert moved.image_ids == ("a", 5)


def test_fabric_can_move_a_batch():
    before = batch()

    moved = Fabric(accelerator="cpu").to_device(before)

    assert all(map(torch.equal, tensors(moved), tensors(before)))


def test_batches_travel_between_processes():
    before = batch()

    after = pickle.loads(pickle.dumps(before))

    assert all(map(torch.equal, tensors(after), tensors(before)))
    assert after.image_ids == before.image_ids
