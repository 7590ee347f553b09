import pickle
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from jsisnet.training.checkpoint import Checkpoint
from jsisnet.training.objective import Objective, ObjectiveConfig
from jsisnet.training.optim import OptimConfig, optimizer
from networks import network, streets


def small(step: int = 3) -> Checkpoint:
    weights = {"weight": torch.arange(4.0)}
    return Checkpoint(step=step, network=weights, average=None, optimizer={"state": {}})


def test_a_read_checkpoint_is_the_written_one(tmp_path):
    made = network().train()
    sgd = optimizer(made, OptimConfig(), 0.1)
    Objective(made, ObjectiveConfig())(streets(0, 1)).total().backward()
    sgd.step()
    written = Checkpoint(
        step=1, network=made.state_dict(), average=made.state_dict(), optimizer=sgd.state_dict()
    )
    written.save(tmp_path / "checkpoint.pt")

    read = Checkpoint.load(tmp_path / "checkpoint.pt")

    assert read.step == 1
    for name in ("network", "average"):
        ours, theirs = getattr(read, name), getattr(written, name)
        assert list(ours) == list(theirs)
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert read.optimizer["param_groups"] == written.optimizer["param_groups"]
    for number, state in written.optimizer["state"].items():
        momentum = read.optimizer["state"][number]["momentum_buffer"]
        assert torch.equal(momentum, state["momentum_buffer"])


def test_a_checkpoint_replaces_the_one_before_and_leaves_no_other_file(tmp_path):
    path = tmp_path / "checkpoint.pt"
    for step in (3, 6):
        small(step).save(path)

    assert Checkpoint.load(path).step == 6
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_that_can_not_be_written_leaves_the_one_before(tmp_path):
    path = tmp_path / "checkpoint.pt"
    small().save(path)
    broken = Checkpoint(step=4, network={}, average=None, optimizer={"lambda": lambda: 0})

    with pytest.raises(AttributeError):
        broken.save(path)

    assert Checkpoint.load(path).step == 3


@pytest.mark.parametrize("content", [b"", b"step 3\n", b"\x80\x02.", bytes(100)])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(content)

    with pytest.raises(ValueError, match=r"checkpoint\.pt: not a training checkpoint"):
        Checkpoint.load(path)


def test_a_truncated_checkpoint_is_refused(tmp_path):
    path = tmp_path / "checkpoint.pt"
    small().save(path)
    path.write_bytes(path.read_bytes()[:-200])

    with pytest.raises(ValueError, match="not a training checkpoint"):
        Checkpoint.load(path)


def test_a_state_dictionary_is_not_a_checkpoint(tmp_path):
    torch.save({"weight": torch.ones(2)}, tmp_path / "checkpoint.pt")

    with pytest.raises(ValueError, match="not a training checkpoint"):
        Checkpoint.load(tmp_path / "checkpoint.pt")


class Intruder:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path):
    path, victim = tmp_path / "checkpoint.pt", tmp_path / "victim"
    path.write_bytes(pickle.dumps({"step": Intruder(victim)}, protocol=2))

    with pytest.raises(ValueError, match="not a training checkpoint"):
        Checkpoint.load(path)

    assert not victim.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_reported_as_such():
    with pytest.raises(OSError, match="No space left on device"):
        small().save(Path("/dev/full"))


def test_a_flipped_bit_of_a_checkpoint_is_found(tmp_path):
    path, dice = tmp_path / "checkpoint.pt", random.Random(0)
    small().save(path)
    content = path.read_bytes()
    data = len(content) - len(f"sha256: {'0' * 64}")

    for place in (0, data - 1, *dice.sample(range(data), 50)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"checkpoint\.pt: damaged, .*; start a new run from"):
            Checkpoint.load(path)


def test_only_a_checkpoint_that_never_had_a_checksum_is_read_without_one(tmp_path):
    small().save(tmp_path / "new.pt")
    content = torch.load(tmp_path / "new.pt", weights_only=True)
    torch.save(content, tmp_path / "cut.pt")
    del content["has_checksum"]
    torch.save(content, tmp_path / "old.pt")

    assert Checkpoint.load(tmp_path / "old.pt").step == 3
    with pytest.raises(ValueError, match=r"cut\.pt: damaged, as its checksum is missing"):
        Checkpoint.load(tmp_path / "cut.pt")


def test_a_checkpoint_has_the_same_bytes_whatever_its_objects_share(tmp_path):
    name = "".join(["momentum", "_buffer"])  # an equal string that is another object
    for file, other in (("one.pt", "momentum_buffer"), ("two.pt", name)):
        state = {0: {"momentum_buffer": 1}, 1: {other: 2}}
        replace(small(), optimizer={"state": state}).save(tmp_path / file)

    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "two.pt").read_bytes()
