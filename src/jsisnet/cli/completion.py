"""`jsisnet completion`: complete commands and options in a shell."""

import sys
from typing import Annotated, Literal

from cyclopts import Parameter


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(name="SHELL")], /
) -> None:
    """Print a script that completes commands and options in a shell.

    For example
        source <(jsisnet completion bash)
        jsisnet completion bash
            > ~/.local/share/bash-completion/completions/jsisnet
        jsisnet completion zsh > ~/.zfunc/_jsisnet
        jsisnet completion fish > ~/.config/fish/completions/jsisnet.fish

    The first line completes in this shell, the others in all new ones. zsh looks in
    ~/.zfunc if ~/.zshrc has the line fpath+=~/.zfunc before that of compinit.

    Args:
        shell: bash, zsh or fish.
    """
    from jsisnet.cli.app import app

    sys.stdout.write(app.generate_completion(prog_name="jsisnet", shell=shell))
