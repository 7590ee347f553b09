"""The container files, the compose file and the systemd unit fit the package and each other."""

import configparser
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from jsisnet.cli.app import app

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
DOCKERFILES = sorted(path for path in DEPLOY.glob("docker/*") if path.suffix != ".dockerignore")


def instructions(dockerfile):
    """Return the instructions of a Dockerfile as pairs of name and value."""
    text = re.sub(r"^#.*\n", "", dockerfile.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line.strip()]


def values(dockerfile, name):
    return [value for key, value in instructions(dockerfile) if key == name]


def arguments(value):
    """Return the words of an instruction in JSON form."""
    return yaml.safe_load(value)


def unit():
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str
    parser.read(DEPLOY / "jsisnet.service", encoding="utf-8")
    return parser


def services():
    content = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return content["services"]


def parsed(words):
    """Return the options of a command line, which must be one of `jsisnet serve`."""
    assert words[:2] == ["jsisnet", "serve"]
    command, bound, *_ = app.parse_args(words[1:], print_error=False, exit_on_error=False)
    assert command.__name__ == "serve"
    return bound.arguments


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_a_dockerfile_starts_the_server_with_options_that_exist(dockerfile):
    (entrypoint,), (command,) = values(dockerfile, "ENTRYPOINT"), values(dockerfile, "CMD")

    options = parsed(arguments(entrypoint) + arguments(command))
    assert options["address"].host == "0.0.0.0"
    (exposed,), (health,) = values(dockerfile, "EXPOSE"), values(dockerfile, "HEALTHCHECK")
    assert options["address"].port == int(exposed)
    assert f"127.0.0.1:{exposed}/readyz" in health


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_a_dockerfile_pins_its_base_runs_as_nobody_and_keeps_no_cache(dockerfile):
    bases = [value.split()[0] for value in values(dockerfile, "FROM")]

    assert len(bases) == 2
    assert all(re.fullmatch(r"python:\d+\.\d+\.\d+-(slim-)?bookworm", base) for base in bases)
    assert bases[0].replace("-bookworm", "-slim-bookworm") == bases[1]  # the same interpreter
    assert int(values(dockerfile, "USER")[-1].partition(":")[0]) > 0
    runs = " ".join(values(dockerfile, "RUN"))
    assert runs.count("pip install") == runs.count("pip install --no-cache-dir --constraint")
    assert "apt" not in runs


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_what_a_dockerfile_copies_exists_and_nothing_else_is_sent(dockerfile):
    ignore = dockerfile.with_name(f"{dockerfile.name}.dockerignore").read_text(encoding="utf-8")
    sent = {line[1:] for line in ignore.splitlines() if line.startswith("!")}
    copied = set()
    for value in values(dockerfile, "COPY"):
        if not value.startswith("--from"):
            copied.update(value.split()[:-1])

    assert copied == sent
    assert all((ROOT / name).exists() for name in copied)


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_hadolint_accepts_a_dockerfile(dockerfile):
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent)
    if hadolint is None:
        pytest.skip("hadolint is not installed")

    found = subprocess.run([hadolint, dockerfile], capture_output=True, text=True, check=False)

    assert (found.returncode, found.stdout) == (0, "")


@pytest.mark.parametrize("name", services())
def test_a_service_has_options_that_exist_and_few_rights(name):
    service = services()[name]
    dockerfile = (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).resolve()

    assert dockerfile in DOCKERFILES
    (entrypoint,) = values(dockerfile, "ENTRYPOINT")
    options = parsed(arguments(entrypoint) + service["command"])
    assert options["limits"].grace < int(service["stop_grace_period"].rstrip("s"))
    assert str(options["access"].api_key_file) == "/run/secrets/api_keys"
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert all(port.endswith(f":{options['address'].port}") for port in service["ports"])


def test_the_unit_starts_the_server_with_options_that_exist_and_few_rights():
    service = unit()["Service"]
    program, *words = shlex.split(service["ExecStart"])

    options = parsed([Path(program).name, *words])
    assert options["address"].host == "127.0.0.1"
    assert options["limits"].grace < int(service["TimeoutStopSec"])
    name = options["access"].api_key_file.name
    assert service["LoadCredential"].startswith(f"{name}:")
    for right in ("DynamicUser", "NoNewPrivileges", "PrivateTmp", "ProtectHome"):
        assert service[right] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""


def test_systemd_accepts_the_unit(tmp_path):
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd is not installed")
    text = (DEPLOY / "jsisnet.service").read_text(encoding="utf-8")
    copy = tmp_path / "jsisnet.service"
    copy.write_text(text.replace("/opt/jsisnet/bin/jsisnet", "/bin/true"), encoding="utf-8")

    found = subprocess.run([analyze, "verify", copy], capture_output=True, text=True, check=False)

    assert (found.returncode, found.stderr) == (0, "")
