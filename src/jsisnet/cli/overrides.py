"""Settings among the options of a command, such as ``--optim.lr 0.01``."""

from collections import deque
from collections.abc import Sequence
from dataclasses import fields
from importlib import import_module
from typing import Annotated

from cyclopts import App, ArgumentCollection, Parameter, Token, UnknownOptionError

SETTINGS = {
    "benchmark": "jsisnet.inference.model_folder:PredictionConfig",
    "describe": "jsisnet.training.config:RunConfig",
    "export": "jsisnet.inference.model_folder:PredictionConfig",
    "reproduce figure2": "jsisnet.training.config:RunConfig",
    "reproduce speed": "jsisnet.training.config:RunConfig",
    "reproduce table2": "jsisnet.training.config:RunConfig",
    "reproduce table3": "jsisnet.training.config:RunConfig",
    "reproduce training-ablation": "jsisnet.training.config:RunConfig",
    "show-batch": "jsisnet.training.config:RunConfig",
    "train": "jsisnet.training.config:RunConfig",
    "demo": "jsisnet.inference.model_folder:PredictionConfig",
    "evaluate": "jsisnet.inference.model_folder:PredictionConfig",
    "predict": "jsisnet.inference.model_folder:PredictionConfig",
    "reproduce figure1": "jsisnet.inference.model_folder:PredictionConfig",
    "reproduce figure3": "jsisnet.inference.model_folder:PredictionConfig",
    "reproduce merge-ablation": "jsisnet.inference.model_folder:PredictionConfig",
    "reproduce table1": "jsisnet.inference.model_folder:PredictionConfig",
    "reproduce table4": "jsisnet.inference.model_folder:PredictionConfig",
    "serve": "jsisnet.inference.model_folder:PredictionConfig",
    "submit": "jsisnet.inference.model_folder:PredictionConfig",
}
"""Settings dataclass of each command whose options include settings."""

WITHOUT_SETTINGS = {"--help", "-h", "--check", "--predictions"}
"""Options that make settings meaningless, which saves importing their dataclasses."""


def split_settings(tokens: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """Separate the settings from the other tokens of a command line.

    A list of numbers is given as ``--optim.milestones 40 60``, any list by repeating the option.

    Args:
        tokens: Command and its arguments.

    Returns:
        The remaining tokens, and the settings with their values.

    Raises:
        UnknownOptionError: If an option with a dot is not a setting; the message suggests one.
    """
    names = (" ".join(tokens[:count]) for count in (1, 2))
    command = next((name for name in names if name in SETTINGS), "")
    options = {token for token in tokens if token.startswith("-")}
    if command not in SETTINGS or not options or options & WITHOUT_SETTINGS:
        return list(tokens), ()
    kind = _dataclass(SETTINGS[command])
    if not any(_may_be_setting(option, kind) for option in options):
        return list(tokens), ()
    settings = _arguments(kind, tokens)
    queue = deque(tokens)
    rest: list[str] = []
    overrides: list[str] = []
    while queue:
        token = queue.popleft()
        if token == "--":
            return [*rest, token, *queue], tuple(overrides)
        count = _values(token, settings, command)
        if count is None:
            rest.append(token)
            continue
        number, islist = count
        islist &= number == 1  # and not of pairs
        overrides.append(token)
        while number and queue and not queue[0].startswith("--"):
            overrides.append(queue.popleft())
            number -= 1
        while islist and queue and _isnumber(queue[0]):
            overrides += (token, queue.popleft())
    return rest, tuple(overrides)


def _values(token: str, settings: ArgumentCollection, command: str) -> tuple[int, bool] | None:
    """Return how many values follow a setting, and whether more may; ``None`` if it is none."""
    name, equals, _ = token.partition("=")
    if not name.startswith("--"):
        return None
    try:
        setting, keys, implied = settings.match(name)
    except ValueError:
        if "." in name:
            unknown = Token(keyword=name, source="cli")
            raise UnknownOptionError(
                token=unknown,
                argument_collection=settings,
                command_chain=tuple(command.split()),
                verbose=False,
            ) from None
        return None
    isflag = isinstance(implied, bool)
    return (0, False) if equals or isflag else setting.token_count(keys)


def _isnumber(token: str) -> bool:
    try:
        float(token)
    except ValueError:
        return False
    return True


def _dataclass(path: str) -> type:
    module, _, name = path.partition(":")
    kind: type = getattr(import_module(module), name)
    return kind


def _may_be_setting(option: str, kind: type) -> bool:
    """Tell, in no time, whether an option may be a setting: of a section, or a field of its own."""
    from jsisnet.sections import setting_of

    name = setting_of(option)
    names = {item.name for item in fields(kind)}
    return "." in name or name in names or name.removeprefix("no_") in names


def _arguments(plain: type, tokens: Sequence[str]) -> ArgumentCollection:
    """Return the options of a settings dataclass, including sections that the tokens name."""
    from jsisnet.sections import with_names

    kind = with_names(plain, {}, tokens, every_method=True)
    app = App(help_flags=(), version_flags=())

    @app.default
    def settings(*, settings: Annotated[kind, Parameter(name="*")]) -> None:  # type: ignore[valid-type]
        """Only declare the signature."""

    return app.assemble_argument_collection()
