import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from jsisnet.training import devices
from jsisnet.training.devices import (
    DeviceConfig,
    DeviceLayout,
    LostProcessError,
    create_fabric,
    gather,
    peak_memory,
    process_group,
)

GPUS = torch.cuda.device_count()


def test_the_default_is_one_device():
    layout = DeviceLayout.detect(DeviceConfig())

    assert layout == DeviceLayout(accelerator="cuda" if GPUS else "cpu", count=1, nodes=1)
    assert layout.devices == 1


def test_devices_of_all_nodes_are_counted():
    config = DeviceConfig(accelerator="cpu", count=3, nodes=2)

    assert DeviceLayout.detect(config).devices == 6


@pytest.mark.parametrize("name", ["count", "nodes", "accumulate"])
def test_values_out_of_range_are_named(name):
    with pytest.raises(ValueError, match=rf"devices\.{name} is -1; expected [01] to "):
        DeviceConfig(**{name: -1})


def test_torchrun_sets_the_number_of_processes(monkeypatch):
    for name, value in {
        "TORCHELASTIC_RUN_ID": "street",
        "LOCAL_WORLD_SIZE": "4",
        "GROUP_WORLD_SIZE": "2",
    }.items():
        monkeypatch.setenv(name, value)

    layout = DeviceLayout.detect(DeviceConfig(accelerator="cpu"))

    assert (layout.count, layout.nodes) == (4, 2)


def test_slurm_sets_the_number_of_processes(monkeypatch):
    for name, value in {
        "SLURM_NTASKS": "8",
        "SLURM_NNODES": "2",
        "SLURM_JOB_NAME": "street",
    }.items():
        monkeypatch.setenv(name, value)

    layout = DeviceLayout.detect(DeviceConfig(accelerator="cpu"))

    assert (layout.count, layout.nodes) == (4, 2)


@pytest.mark.parametrize(
    ("launcher", "variables"),
    [
        (
            "torchrun",
            {"TORCHELASTIC_RUN_ID": "a", "LOCAL_WORLD_SIZE": "4", "GROUP_WORLD_SIZE": "2"},
        ),
        ("SLURM", {"SLURM_NTASKS": "8", "SLURM_NNODES": "2", "SLURM_JOB_NAME": "street"}),
    ],
)
def test_a_launcher_that_contradicts_the_settings_is_refused(monkeypatch, launcher, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    agreeing = DeviceLayout.detect(DeviceConfig(accelerator="cpu", count=4, nodes=2))
    with pytest.raises(
        ValueError, match=rf"devices\.count is 8, but {launcher} says 4 \(proc"
    ) as e:
        DeviceLayout.detect(DeviceConfig(accelerator="cpu", count=8))
    with pytest.raises(ValueError, match=rf"devices\.nodes is 1, but {launcher} says 2 \(nodes\)"):
        DeviceLayout.detect(DeviceConfig(accelerator="cpu", nodes=1))

    assert agreeing.devices == 8
    assert "leave --devices.count out, or give" in str(e.value)


def test_what_lightning_refuses_is_an_error_of_the_devices(monkeypatch):
    for name, value in {"SLURM_NTASKS": "8", "SLURM_JOB_NAME": "street"}.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(ValueError, match=r"^the devices can't be used as requested: .*--ntasks"):
        create_fabric(DeviceLayout(accelerator="cpu", count=8, nodes=1), "32-true")


def test_damaged_variables_of_a_launcher_are_named(monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "many")
    monkeypatch.setenv("SLURM_JOB_NAME", "street")

    with pytest.raises(ValueError, match=r"SLURM has set can't be read .*'many'"):
        DeviceLayout.detect(DeviceConfig(accelerator="cpu"))


def test_more_gpus_than_exist_are_refused():
    config = DeviceConfig(accelerator="cuda", count=GPUS + 1)

    with pytest.raises(
        ValueError, match=f"devices.count is {GPUS + 1}, but this machine has {GPUS} GPUs"
    ):
        DeviceLayout.detect(config)


def test_half_precision_with_scaling_needs_a_gpu():
    with pytest.raises(
        ValueError, match="16-mixed, which needs a GPU; expected bf16-mixed or 32-true"
    ):
        create_fabric(DeviceLayout(accelerator="cpu", count=1, nodes=1), "16-mixed")


def test_a_single_process_gathers_its_own_item():
    alone = create_fabric(DeviceLayout(accelerator="cpu", count=1, nodes=1), "32-true")

    assert gather("mine", alone) == ["mine"]


def test_peak_memory_is_plausible():
    before = peak_memory(torch.device("cpu"))
    held = torch.ones(200 * 2**20 // 4)

    assert 100 < before < 100_000
    assert peak_memory(torch.device("cpu")) >= before
    assert len(held) == 200 * 2**20 // 4


def test_several_nodes_need_an_address(monkeypatch):
    monkeypatch.delenv("MASTER_ADDR", raising=False)

    with pytest.raises(
        ValueError, match=r"devices\.nodes is 2, but MASTER_ADDR and MASTER_PORT are not set; start"
    ):
        create_fabric(DeviceLayout(accelerator="cpu", count=1, nodes=2), "32-true")


@pytest.mark.parametrize("script", ["", "import signal; signal.signal(signal.SIGTERM, print);"])
def test_an_error_terminates_the_other_processes(monkeypatch, script):
    monkeypatch.setattr(devices, "TERMINATION_TIMEOUT", 0.5)
    script += "print(flush=True); import time; time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        begun = [other]
        alone = create_fabric(DeviceLayout(accelerator="cpu", count=1, nodes=1), "32-true")
        monkeypatch.setattr(type(alone.strategy), "launcher", SimpleNamespace(procs=begun))
        monkeypatch.setattr(alone, "launch", lambda: None)

        with pytest.raises(KeyError), process_group(alone):
            raise KeyError

        assert other.returncode < 0
        assert begun == []


def test_a_lost_process_is_distinguished_from_other_errors():
    alone = create_fabric(DeviceLayout(accelerator="cpu", count=1, nodes=1), "32-true")

    with pytest.raises(LostProcessError, match="another process"), process_group(alone):
        raise RuntimeError("[gloo/transport/tcp/pair.cc:561] Connection closed by peer")
    with pytest.raises(RuntimeError, match="shapes"), process_group(alone):
        raise RuntimeError("shapes differ")
