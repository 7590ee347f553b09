import json
import subprocess
import sys
from importlib.metadata import version

from jsisnet.cli.app import run


def test_versions_and_extras_are_printed(capsys):
    assert run(["info"]) == 0

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["jsisnet", version("jsisnet")] in lines
    assert ["PyTorch", version("torch"), "torch"] in lines
    assert ["scikit-image", version("scikit-image"), "demo"] in lines


def test_json_on_standard_output_is_alone_there(capsys):
    assert run(["info", "--json", "-"]) == 0

    streams = capsys.readouterr()
    found = json.loads(streams.out)
    assert found["packages"]["numpy"] == version("numpy")
    assert found["extras"]["torch"]["PyTorch"] == version("torch")
    assert "PyTorch" in streams.err


def test_gpus_are_those_of_nvidia_smi(capsys, monkeypatch, tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA X, 9 MiB, 570.1'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")

    assert run(["info"]) == 0

    assert "GPU: NVIDIA X, 9 MiB, 570.1\n" in capsys.readouterr().out


def test_torch_is_not_imported():
    program = (
        "import sys; sys.modules['torch'] = None; from jsisnet.cli.app import run\n"
        "sys.exit(run(['info']) or 'onnxruntime' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (0, b"")
