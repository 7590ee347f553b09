"""Model folders: a description, the weights, and the exported network.

Only the description is read here; the engines run the network.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from hashlib import file_digest
from importlib.resources import files
from pathlib import Path
from shutil import copyfile
from types import MappingProxyType
from typing import Any

from jsisnet.categories import Categories
from jsisnet.checks import check_size, nearest
from jsisnet.files import json_text
from jsisnet.files.atomic import replacing
from jsisnet.files.regular import check_regular
from jsisnet.formats import categories_json
from jsisnet.inference.rules import MergeConfig
from jsisnet.inference.thresholds import DetectionConfig, ProposalConfig
from jsisnet.settings import from_dict, joined, plain

DESCRIPTION, WEIGHTS, EXPORTED = "model.json", "model.safetensors", "model.onnx"
"""Names of the files of a model folder: settings and classes, weights, and the exported network."""

CARD = "README.md"
"""Name of the card of a model: what it is, and its licence."""

ONNX = ".onnx"
"""Suffix of an exported network, which describes itself and may lie anywhere."""

COPY_AGAIN = "copy or download it again"
"""What to do about a damaged file of a model, for messages."""

_MAX_SHOWN = 200
"""Characters of a path that can't exist which a message shows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SelectionConfig:
    """How the instance branch selects regions."""

    proposals: ProposalConfig = field(default_factory=ProposalConfig)
    """Limits of the proposals."""

    detection: DetectionConfig = field(default_factory=DetectionConfig)
    """Thresholds of the detections."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictionConfig:
    """Settings of a prediction, whatever runs the network."""

    size: tuple[int, int] | None
    """Height and width that images are resized to; ``None`` for networks that take any size."""

    network: SelectionConfig = field(default_factory=SelectionConfig)
    """How the instance branch selects regions."""

    merge: MergeConfig = field(default_factory=MergeConfig)
    """Rules and thresholds of the merge."""

    def __post_init__(self) -> None:
        check_size(self.size)


@dataclass(frozen=True)
class ModelDescription:
    """Settings and classes of a trained network."""

    values: Mapping[str, Any]
    """Nested settings, including the architecture of the network."""

    categories: Categories
    """Classes."""

    source: str
    """File that they were read from, for messages."""

    @cached_property
    def fixed(self) -> dict[str, Any]:
        """Settings without the thresholds that can be chosen for each prediction."""
        network = {**self.values.get("network", {})}
        network.pop("detection", None)
        return {"size": self.values.get("size"), "network": network}

    def config(
        self,
        overrides: Sequence[str] = (),
        settings: Mapping[str, Any] = MappingProxyType({}),
    ) -> PredictionConfig:
        """Return the settings of a prediction.

        Args:
            overrides: Command-line options such as ``("--merge.canvas", "original")``, which win
                over all other settings.
            settings: Nested values of `PredictionConfig` that win over those of the file.

        Raises:
            ValueError: If a setting is invalid; the message names it.
        """
        names = {item.name for item in fields(SelectionConfig)}
        network = self.values.get("network", {})
        selection = {name: value for name, value in network.items() if name in names}
        values = {**self.values, "network": selection}
        config = from_dict(PredictionConfig, values, overrides, source=self.source)
        if settings:
            given = joined(values, settings)
            config = from_dict(PredictionConfig, given, overrides, source="settings")
        return config


def embedded_names() -> tuple[str, ...]:
    """List the built-in models."""
    folders = (Path(str(entry)) for entry in files("jsisnet.weights").iterdir())
    return tuple(sorted(folder.name for folder in folders if (folder / DESCRIPTION).is_file()))


def find(model: str | Path) -> Path:
    """Return the folder of a model, or its file if it is an exported network.

    Args:
        model: Name of a built-in model, a model or run folder, an exported network, or, if there
            is none of these, ``user/model`` on a hub, which is downloaded.

    Raises:
        ImportError: If it may be on a hub, and the extra ``hub`` is missing.
        ValueError: If there is no such model; the message suggests one.
    """
    if isinstance(model, str) and model in embedded_names():
        return Path(str(files("jsisnet.weights") / model))
    path = Path(model)
    try:
        isfolder, isfile = path.is_dir(), path.is_file()
        described = isfolder and (path / DESCRIPTION).is_file()
    except OSError as error:  # a name too long, or a folder that can't be searched
        raise ValueError(f"{str(path)[:_MAX_SHOWN]}: {error.strerror}; expected a model") from error
    if described or (isfile and path.suffix.lower() == ONNX):
        return path
    if isfolder:
        raise ValueError(f"{path}: no {DESCRIPTION} in it; expected a model or run folder")
    if isfile:
        raise ValueError(
            f"{path}: expected a model or run folder, or an exported network, whose name ends in "
            f"{ONNX}"
        )
    if not isinstance(model, str):
        raise ValueError(f"{path} does not exist; expected a model or run folder, or a {ONNX} file")
    from jsisnet.inference import hub

    if hub.is_name(model):
        return hub.download(model)
    names = embedded_names()
    raise ValueError(
        f"No model named {model!r}.{nearest(model, [*names, *_beside(path)])} Built-in models: "
        f"{', '.join(names)}. For your own, give the folder with {DESCRIPTION}"
    )


def _beside(path: Path) -> list[str]:
    """Return the models in the folder in which a path would be."""
    return [str(found.parent) for found in path.parent.glob(f"*/{DESCRIPTION}")]


def read_description(folder: Path) -> ModelDescription:
    """Read the settings and the classes of a model folder.

    Raises:
        ValueError: If the description is missing or damaged; the message names the file.
    """
    path = folder / DESCRIPTION
    try:
        check_regular(path)
        content = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(f"{path}: not the description of a model ({reason})") from error
    except ValueError as error:
        raise ValueError(f"{path}: not the description of a model ({error})") from error
    return parse_description(content, str(path))


def copy_with(folder: Path, out: Path, merge: MergeConfig) -> None:
    """Copy a model with other rules of the merge.

    Its detections are selected from the lowest score on that suffices for some class.

    Args:
        folder: Folder of a model.
        out: Folder to write to; the files of a model in it are replaced.
        merge: The rules.

    Raises:
        ValueError: If the model is an exported network alone, which describes itself, or its
            description is damaged.
    """
    if folder.is_file():
        raise ValueError(
            f"{folder}: the settings of an exported network are part of it; expected "
            "the folder of a model, or write the settings to a .yaml file"
        )
    description = read_description(folder)
    values = dict(description.values)
    network = dict(values.get("network", {}))
    network["detection"] = {**network.get("detection", {}), "min_score": merge.lowest_score}
    entries = categories_json.entries(description.categories)
    described = {**values, "network": network, "merge": plain(merge), "categories": entries}
    out.mkdir(parents=True, exist_ok=True)
    (out / DESCRIPTION).unlink(missing_ok=True)
    for name in (WEIGHTS, EXPORTED, CARD):
        (out / name).unlink(missing_ok=True)
        if (folder / name).is_file():
            with replacing(out / name) as temporary:
                copyfile(folder / name, temporary)
    with replacing(out / DESCRIPTION) as temporary:  # without it there is no model
        temporary.write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")


def parse_description(content: str, source: str) -> ModelDescription:
    """Parse the description of a model.

    Args:
        content: JSON object of settings and categories.
        source: Where it comes from, for messages.

    Raises:
        ValueError: If it is damaged.
    """
    try:
        values = json_text.parse(content.encode())
    except ValueError as error:
        raise ValueError(f"{source}: not the description of a model ({error})") from error
    if not isinstance(values, dict) or "categories" not in values:
        raise ValueError(f"{source}: not the description of a model (no categories)")
    network = values.get("network", {})
    if not isinstance(network, dict):
        raise ValueError(f"{source}: network is {network!r}; expected a mapping of settings")
    entries = values.pop("categories")
    try:
        if not isinstance(entries, list) or not entries:
            raise ValueError("'categories' is not a list of classes")
        categories = categories_json.parse(entries)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None
    return ModelDescription(values, categories, source)


def weights_digest(folder: Path) -> str | None:
    """Return the SHA-256 of the weights of a model folder; ``None`` if it has none.

    Raises:
        ValueError: If they can't be read.
    """
    try:
        check_regular(folder / WEIGHTS)
        with (folder / WEIGHTS).open("rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ValueError(
            f"{folder / WEIGHTS}: not weights of a model ({error.strerror})"
        ) from error


def nested_settings(settings: Mapping[str, object]) -> dict[str, Any]:
    """Nest settings of the merge and the detection as `PredictionConfig` does.

    Args:
        settings: `size`, and fields of `MergeConfig` and `DetectionConfig`. A name that both have,
            `min_score`, sets both, and replaces the minimum scores of classes.

    Raises:
        TypeError: If a name is unknown.
    """
    merge = {field.name for field in fields(MergeConfig)}
    detection = {field.name for field in fields(DetectionConfig)}
    known = sorted({"size"} | merge | detection)
    unknown = [name for name in settings if name not in known]
    if unknown:
        raise TypeError(
            f"unknown setting {unknown[0]!r}.{nearest(unknown[0], known)} Settings: "
            f"{', '.join(known)}"
        )
    nested: dict[str, Any] = {}
    if "size" in settings:
        nested["size"] = plain(settings["size"])
    nested["merge"] = {name: plain(value) for name, value in settings.items() if name in merge}
    if "min_score" in settings:
        nested["merge"].setdefault("class_min_scores", [])
    detecting = {name: value for name, value in settings.items() if name in detection}
    return nested | {"network": {"detection": detecting}} if settings else {}
