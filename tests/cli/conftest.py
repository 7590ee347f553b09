"""Fixtures of the tests of commands."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import toy_engine
from jsisnet.cli.app import run
from jsisnet.inference import engine


@pytest.fixture
def toy_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Install the toy engine, and work in an empty folder."""
    toy_engine.write_package(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    engine._entry_points.cache_clear()
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    yield work
    engine._entry_points.cache_clear()


@pytest.fixture
def predict(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs `predict` with the toy engine of `toy_folder`.

    It returns exit code, output and errors.
    """

    def called(*arguments: str) -> tuple[int, str, str]:
        code = run(["predict", *arguments, "--model", "toy", "--engine", "toy"])
        return code, *capsys.readouterr()

    return called
