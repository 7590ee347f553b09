"""Model folders on a hub such as huggingface.co: download by name, and upload with a card."""

import html
import json
import re
import shutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jsisnet.categories import Categories
from jsisnet.files import json_fields
from jsisnet.files.atomic import holds_files, replacing
from jsisnet.files.checksum import check_intact
from jsisnet.files.one_line import one_line
from jsisnet.inference.model_folder import (
    CARD,
    COPY_AGAIN,
    DESCRIPTION,
    EXPORTED,
    WEIGHTS,
    ModelDescription,
    read_description,
)
from jsisnet.lazy import import_extra

FILES = (DESCRIPTION, EXPORTED, WEIGHTS)
"""All that is downloaded and uploaded of a model, apart from its card."""

RESULTS = "results.json"
"""Name of the scores in the folder of a model."""

_NAME = re.compile(r"(?!.*\.\.)\w[\w.-]{0,95}/\w[\w.-]{0,95}(@\w[\w./-]{0,199})?", re.ASCII)

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~:@$])")
"""Characters that may have a meaning in Markdown."""

_MOST_REASON = 300
"""Characters of another library's error that a message shows."""


def is_name(model: str) -> bool:
    """Return whether a text may name a model on a hub: ``user/model`` or ``user/model@REVISION``.

    A path in a folder that exists is a path.
    """
    return _NAME.fullmatch(model) is not None and not Path(model).parent.is_dir()


def download(model: str) -> Path:
    """Return the folder of a model on a hub, downloaded unless the cache has it already.

    Only the description, the weights and the exported network are fetched, and nothing of them is
    executed. Without a connection, or with ``HF_HUB_OFFLINE=1``, the cache is used. ``HF_ENDPOINT``
    names another hub, and ``HF_TOKEN`` or ``hf auth login`` give access to private models.

    Args:
        model: ``user/model``, or ``user/model@REVISION`` for a tag, branch or commit.

    Raises:
        ImportError: If the extra ``hub`` is missing.
        ValueError: If there is no such model or revision, or the hub can't be reached; the message
            is one sentence.
    """
    hub = import_extra(f"{model} is no folder here, and as a model of a hub it", "huggingface_hub")
    errors = import_module("huggingface_hub.errors")
    name, _, revision = model.partition("@")
    place = _place()
    try:
        folder = Path(
            hub.snapshot_download(
                name, revision=revision or None, allow_patterns=list(FILES), library_name="jsisnet"
            )
        )
    except errors.RevisionNotFoundError as error:
        raise ValueError(f"{name} on {place} has no revision {revision!r}") from error
    except errors.RepositoryNotFoundError as error:
        raise ValueError(
            f"{name}: neither a folder here nor a model on {place}; check the name, or, if it is "
            "private, log in with `hf auth login`"
        ) from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise ValueError(
            f"{model}: neither a folder here nor in the cache of models, and {place} can't be "
            "reached; check the connection, and that HF_HUB_OFFLINE is not set"
        ) from error
    except Exception as error:  # of the connection, the disk, or what a server answers
        raise ValueError(f"{model} can't be downloaded from {place} ({_reason(error)})") from error
    if not (folder / DESCRIPTION).is_file():
        raise ValueError(f"{model} on {place} has no {DESCRIPTION}; expected a model of jsisnet")
    return folder


def pull_from_hub(model: str, folder: Path | str) -> None:
    """Download a model into a folder.

    Args:
        model: See `download`.
        folder: New or empty folder.

    Raises:
        ImportError: See `download`.
        ValueError: See `download`; or if the name is none, or the folder holds files.
    """
    folder = Path(folder)
    if _NAME.fullmatch(model) is None:
        raise ValueError(f"{model!r} is no name of a model on a hub; expected user/model")
    if folder.exists() and (not folder.is_dir() or holds_files(folder)):
        raise ValueError(f"{folder}: not empty; expected a new folder")
    source = download(model)
    for name in (EXPORTED, WEIGHTS, DESCRIPTION):  # without the last there is no model
        if (source / name).is_file():
            with replacing(folder / name) as temporary:
                shutil.copyfile(source / name, temporary)


def push_to_hub(
    folder: Path | str,
    name: str,
    *,
    private: bool | None = None,
    licence: str | None = None,
    scores: Mapping[str, Any] = MappingProxyType({}),
) -> str:
    """Upload a model folder with a card, in one commit; the repository is created if it is new.

    A card that the repository has already is kept.

    Args:
        folder: A model or run folder.
        name: ``user/model``.
        private: Whether a new repository is private; ``None`` for the default of the account.
        licence: Identifier of the model's licence for the card, such as ``apache-2.0``.
        scores: ``pq`` and ``miou`` in percent, and ``data``, for the card; by default those of
            results.json in the folder.

    Returns:
        URL of the commit.

    Raises:
        ImportError: If the extra ``hub`` is missing.
        ValueError: If the folder is no model, a file is damaged, the name is none, or the hub
            refuses.
    """
    folder = Path(folder)
    if _NAME.fullmatch(name) is None or "@" in name:
        raise ValueError(f"{name!r} is no name of a model on a hub; expected user/model")
    description = read_description(folder)
    paths = [folder / file for file in FILES if (folder / file).is_file()]
    if len(paths) == 1:
        raise ValueError(f"{folder}: neither {WEIGHTS} nor {EXPORTED} in it; expected a model")
    for path in paths[1:]:
        check_intact(path, COPY_AGAIN)
    card = model_card(description, name, licence=licence, scores=scores or _scores(folder))
    hub = import_extra("Uploading a model", "huggingface_hub")
    files = [hub.CommitOperationAdd(path.name, str(path)) for path in paths]
    place = _place()
    try:
        api = hub.HfApi(library_name="jsisnet")
        api.create_repo(name, private=private, exist_ok=True)
        if not api.file_exists(name, CARD):
            files.append(hub.CommitOperationAdd(CARD, card.encode()))
        done = api.create_commit(name, files, commit_message="Upload a model of jsisnet")
    except Exception as error:  # of the connection, or what a server answers
        raise ValueError(f"{name} can't be uploaded to {place} ({_reason(error)})") from error
    return str(done.commit_url)


def model_card(
    description: ModelDescription,
    name: str,
    *,
    licence: str | None = None,
    scores: Mapping[str, Any] = MappingProxyType({}),
) -> str:
    """Return the card of a model in Markdown: how to use it, its classes and its scores.

    Args:
        description: The model.
        name: ``user/model``.
        licence: Identifier of its licence.
        scores: See `push_to_hub`.
    """
    categories = description.categories
    size = description.config().size
    front = {
        "library_name": "jsisnet",
        "pipeline_tag": "image-segmentation",
        "tags": ["panoptic-segmentation", "image-segmentation", "jsisnet", "onnx"],
    } | ({} if licence is None else {"license": licence})
    # JSON is YAML, and holds any text as a text.
    header = "\n".join(f"{key}: {json.dumps(value)}" for key, value in front.items())
    seen = "any size" if size is None else f"{size[1]} x {size[0]} pixels"
    things, stuff = len(categories.thing_labels), len(categories.stuff_labels)
    return f"""---
{header}
---

# {_text(name)}

A panoptic segmentation model of `jsisnet`: a class, and for
things an instance, for every pixel. It has {things} thing and {stuff} stuff classes. Its input:
images of {seen}.

## Use

```
pip install 'jsisnet[hub]'
jsisnet predict photo.jpg --model {name}
```

```python
from jsisnet import Predictor

result = Predictor("{name}")("photo.jpg")
for segment in result:
    print(segment.name, segment.score, segment.box)
```

{_table_of_scores(scores)}## Classes

{_table_of_classes(categories)}"""


def _table_of_scores(scores: Mapping[str, Any]) -> str:
    rows = [
        f"| {title} | {scores[key]:.2f} |\n"
        for key, title in (("pq", "PQ"), ("miou", "mIoU"))
        if isinstance(scores.get(key), int | float)
    ]
    if not rows:
        return ""
    data = scores.get("data")
    on = f"On {_text(data)}, in percent:\n\n" if isinstance(data, str) else "In percent:\n\n"
    return f"## Scores\n\n{on}| measure | value |\n|---|---|\n{''.join(rows)}\n"


def _table_of_classes(categories: Categories) -> str:
    rows = [
        f"| {_text(str(category.id))} | {_text(category.name)} | "
        f"{'thing' if category.isthing else 'stuff'} | {_text(', '.join(category.members))} |\n"
        for category in categories
    ]
    return f"| id | name | kind | contains |\n|---|---|---|---|\n{''.join(rows)}"


def _text(text: str) -> str:
    """Return a text that Markdown and HTML show as it is, in one line."""
    return _MARKDOWN.sub(r"\\\1", html.escape(one_line(text), quote=False))


def _scores(folder: Path) -> Mapping[str, Any]:
    path = folder / RESULTS
    return json_fields.load(path) if path.is_file() else {}


def _place() -> str:
    """Return the URL of the hub."""
    return one_line(str(import_module("huggingface_hub.constants").ENDPOINT))


def _reason(error: Exception) -> str:
    text = " ".join(one_line(str(error)).split()) or type(error).__name__
    return text[:_MOST_REASON]
