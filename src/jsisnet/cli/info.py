"""`jsisnet info`: versions, devices and extras, for reports of bugs."""

import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jsisnet.cli.console import display, write_json
from jsisnet.cli.options import JsonFile

_PACKAGES = ("jsisnet", "numpy", "pillow", "onnxruntime", "hotcoco", "cyclopts", "zlib-ng")
"""Packages without extras whose versions matter."""

_VARIABLES = re.compile(
    "JSISNET_|CUDA_VISIBLE_DEVICES|OMP_NUM_THREADS|SLURM_|WORLD_SIZE|LOCAL_RANK"
)
"""Environment variables that change what the commands do."""

_QUERY = ("--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
_SECONDS = 20
"""Time limit of nvidia-smi, which waits for the driver."""


def info(*, json: JsonFile | None = None) -> None:
    """Print versions, devices and extras, for reports of bugs.

    For example
        jsisnet info
        jsisnet info --json -

    Args:
        json: JSON file to write (- for standard output).
    """
    found = _found()
    _print(found)
    if json is not None:
        write_json(found, json)


def _found() -> dict[str, Any]:
    from jsisnet.files import pixels
    from jsisnet.files.processes import available_cores
    from jsisnet.lazy import libraries_of_extras

    extras = {
        extra: {library: _version(*names) for library, names in libraries.items()}
        for extra, libraries in libraries_of_extras().items()
    }
    return {
        "packages": {name: _version(name) for name in _PACKAGES},
        "extras": extras,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": available_cores(),
        "gpus": _gpus(),
        "cuda_of_pytorch": _cuda_of_torch(),
        "compiled_loops": pixels.compiled(),
        "environment": {
            name: value for name, value in sorted(os.environ.items()) if _VARIABLES.match(name)
        },
    }


def _print(found: dict[str, Any]) -> None:
    from jsisnet.cli.tables import NONE, table

    packages = table("package", "version", "extra")
    for name, number in found["packages"].items():
        packages.add_row(name, number or NONE, "")
    for extra, libraries in found["extras"].items():
        for library, number in libraries.items():
            packages.add_row(library, number or NONE, extra)
    display(packages)
    display(f"Python {found['python']} on {found['platform']}, {found['cores']} cores")
    display(f"compiled loops: {'yes' if found['compiled_loops'] else 'no (slower)'}")
    for gpu in found["gpus"]:
        display(f"GPU: {gpu}")
    if not found["gpus"]:
        display("GPU: none of NVIDIA's found")
    if found["cuda_of_pytorch"] is not None:
        display(f"CUDA of PyTorch: {found['cuda_of_pytorch']}")
    for name, value in found["environment"].items():
        display(f"{name}={value}")


def _version(*names: str) -> str | None:
    """Return the version of the first of several names that is an installed package."""
    for name in names:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def _gpus() -> list[str]:
    """Return names, memory and drivers of NVIDIA's GPUs, without importing torch."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, *_QUERY]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return [f"nvidia-smi failed ({' '.join(str(error).split())})"]
    return done.stdout.strip().splitlines()


def _cuda_of_torch() -> str | None:
    """Return the CUDA version that PyTorch was built for, ``none`` for one without CUDA."""
    package = find_spec("torch")
    if package is None or package.origin is None:
        return None
    source = Path(package.origin).with_name("version.py")
    content = source.read_text(encoding="utf-8") if source.is_file() else ""
    found = re.search(r"^cuda\b[^=]*= *'(.+)'", content, re.MULTILINE)
    return found[1] if found else "none"
