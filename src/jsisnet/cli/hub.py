"""`jsisnet push` and `jsisnet pull`: models on a hub."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from jsisnet.cli.console import display
from jsisnet.cli.options import Flag, Folder


def push(
    folder: Annotated[Path, Parameter(name="FOLDER")],
    name: Annotated[str, Parameter(name="USER/MODEL")],
    /,
    *,
    private: Flag = False,
    licence: Annotated[str | None, Parameter(metavar="NAME")] = None,
) -> None:
    """Upload a model to a hub, with a card of its classes and scores.

    Uploads model.json, model.onnx and model.safetensors in one commit, and creates the
    repository if it is new. A card that it has already is kept. Log in with
    `hf auth login` first, or set HF_TOKEN; HF_ENDPOINT names another hub.

    For example
        jsisnet push runs/mine user/my-model --licence apache-2.0

    Args:
        folder: Folder of a model or training run.
        name: Name of the model on the hub.
        private: Let only yourself see it, if it is new.
        licence: Licence of the model for the card, such as apache-2.0.
    """
    from jsisnet.cli.models import scores
    from jsisnet.inference.hub import push_to_hub

    url = push_to_hub(folder, name, private=private or None, licence=licence, scores=scores(folder))
    display(f"Uploaded {folder} as {name}: {url}")


def pull(
    name: Annotated[str, Parameter(name="USER/MODEL")],
    /,
    *,
    out: Folder,
) -> None:
    """Download a model from a hub into a folder.

    The other commands need no download: --model USER/MODEL keeps the model in a cache.

    For example
        jsisnet pull user/my-model@v1 --out models/mine

    Args:
        name: Name of the model on the hub; @REVISION takes that tag, branch or commit.
        out: Folder to write, which must be new or empty.
    """
    from jsisnet.inference.hub import pull_from_hub

    pull_from_hub(name, out)
    display(f"Downloaded {name} to {out}")
