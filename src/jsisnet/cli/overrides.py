"""Settings among the options of a command, such as ``--optim.lr 0.01``."""

from collections import deque
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

from cyclopts import App, ArgumentCollection, Parameter, Token, UnknownOptionError

SETTINGS = {
    "describe": "jsisnet.training.config:RunConfig",
    "reproduce speed": "jsisnet.training.config:RunConfig",
    "reproduce table2": "jsisnet.training.config:RunConfig",
    "reproduce table3": "jsisnet.training.config:RunConfig",
    "show-batch": "jsisnet.training.config:RunConfig",
    "train": "jsisnet.training.config:RunConfig",
    "demo": "jsisnet.inference.saved_model:ModelConfig",
    "evaluate": "jsisnet.inference.saved_model:ModelConfig",
    "predict": "jsisnet.inference.saved_model:ModelConfig",
    "reproduce figure1": "jsisnet.inference.saved_model:ModelConfig",
    "reproduce figure3": "jsisnet.inference.saved_model:ModelConfig",
    "reproduce merge-ablation": "jsisnet.inference.saved_model:ModelConfig",
    "reproduce table1": "jsisnet.inference.saved_model:ModelConfig",
    "reproduce table4": "jsisnet.inference.saved_model:ModelConfig",
    "submit": "jsisnet.inference.saved_model:ModelConfig",
}
"""Commands with settings that options override, and where these settings are defined."""

ALONE = {"--help", "-h", "--check", "--predictions"}
"""Options with which no command has settings; to find out what settings there are takes seconds."""


def split(tokens: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """Tell the settings from the other tokens of a command line.

    How many values follow a setting depends on its type.

    Args:
        tokens: The command and what follows it.

    Returns:
        The tokens that remain, and the settings with their values.

    Raises:
        UnknownOptionError: If an option with a dot is no setting; the message names the nearest.
    """
    names = (" ".join(tokens[:count]) for count in (1, 2))
    command = next((name for name in names if name in SETTINGS), "")
    options = {token for token in tokens if token.startswith("-")}
    if command not in SETTINGS or not options or options & ALONE:
        return list(tokens), ()
    settings = _arguments(SETTINGS[command], tokens)
    queue = deque(tokens)
    rest: list[str] = []
    overrides: list[str] = []
    while queue:
        token = queue.popleft()
        if token == "--":
            return [*rest, token, *queue], tuple(overrides)
        count = _values(token, settings)
        if count is None:
            rest.append(token)
        else:
            overrides += [token, *(queue.popleft() for _ in range(min(count, len(queue))))]
    return rest, tuple(overrides)


def _values(token: str, settings: ArgumentCollection) -> int | None:
    """Count the values that follow a setting; ``None`` if the token is none."""
    name, equals, _ = token.partition("=")
    if not name.startswith("--"):
        return None
    try:
        setting, keys, implied = settings.match(name)
    except ValueError:
        if "." in name:
            unknown = Token(keyword=name, source="cli")
            raise UnknownOptionError(
                token=unknown, argument_collection=settings, verbose=False
            ) from None
        return None
    isflag = isinstance(implied, bool)
    return 0 if equals or isflag else setting.token_count(keys)[0]


def _arguments(path: str, tokens: Sequence[str]) -> ArgumentCollection:
    """List the options of settings, also those whose names the tokens alone choose."""
    from jsisnet.settings import with_names

    module, _, name = path.partition(":")
    kind = with_names(getattr(import_module(module), name), {}, tokens)
    app = App(help_flags=(), version_flags=())

    @app.default
    def settings(*, settings: Annotated[kind, Parameter(name="*")]) -> None:  # type: ignore[valid-type]
        """Only the signature counts."""

    return app.assemble_argument_collection()
