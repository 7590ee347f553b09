import shutil
import subprocess

import pytest

from jsisnet.cli.app import run


@pytest.fixture
def script(capsys):
    """Return a function that returns the script of a shell."""

    def printed(shell):
        assert run(["completion", shell]) == 0
        return capsys.readouterr().out

    return printed


@pytest.mark.skipif(shutil.which("bash") is None, reason="without bash")
def test_bash_completes_commands_options_and_choices(script, tmp_path):
    source = tmp_path / "jsisnet.bash"
    source.write_text(script("bash"))
    asked = {
        "jsisnet sco": ["score"],
        "jsisnet data ch": ["check"],
        "jsisnet score --js": ["--json"],
        "jsisnet score --mode str": ["strict"],
    }
    lines = [
        f"COMP_WORDS=({line}); COMP_CWORD={line.count(' ')}; COMPREPLY=(); _jsisnet; "
        'echo "${COMPREPLY[*]}"'
        for line in asked
    ]

    done = subprocess.run(
        ["bash", "-c", "\n".join([f"source {source}", *lines])],
        capture_output=True,
        text=True,
        check=True,
    )

    assert [line.split() for line in done.stdout.splitlines()] == list(asked.values())


@pytest.mark.parametrize(("shell", "start"), [("zsh", "#compdef jsisnet"), ("fish", "# Fish")])
def test_other_shells_have_scripts_with_all_commands(script, shell, start):
    text = script(shell)

    assert text.startswith(start)
    assert all(name in text for name in ("show-batch", "merge-classes", "missing-as-void"))


def test_an_unknown_shell_is_named_with_the_known_ones(capsys):
    assert run(["completion", "csh"]) == 2

    assert "SHELL is 'csh'. Did you mean zsh? Choices: bash, zsh, fish" in capsys.readouterr().err
