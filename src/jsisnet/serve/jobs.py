"""Messages between a server and its worker processes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Form = Literal["json", "coco", "overlay", "labelme"]
"""Form of an answer: segments as JSON, a zip of a COCO panoptic map and its JSON file, a PNG of the
map drawn over the photo, or a labelme file."""

Masks = Literal["rle", "png", "none"]
"""How JSON holds the masks: run lengths of each segment, a PNG of ids with the colour
of each segment, or not at all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wishes:
    """What a client asks for."""

    form: Form = "json"

    masks: Masks = "rle"

    min_score: float | None = None
    """Lowest score of a thing; ``None`` for the model's own."""

    classes: tuple[str, ...] | None = None
    """Names of the classes to segment; ``None`` for all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A photo to segment."""

    content: bytes = field(repr=False)
    """The file."""

    model: str
    """Name of the model, for the answer."""

    name: str | None = None
    """Name of the file, if the client gave one."""

    wishes: Wishes = field(default_factory=Wishes)

    waited: float = 0.0
    """Seconds since the server has read it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The body of a response."""

    media_type: str

    body: bytes = field(repr=False)

    seconds: float = 0.0
    """Time from the photo's bytes to its map."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """Why a photo has no answer."""

    status: int
    """Status code of HTTP."""

    detail: str
    """One sentence for the client."""

    cause: str = ""
    """Traceback for the log, if it is a bug."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """What a worker has loaded."""

    engine: str

    device: str

    size: tuple[int, int] | None
    """Height and width of the network's input; ``None`` for any."""

    categories: tuple[Mapping[str, object], ...]
    """Classes with their colours, as `GET /v1/models` lists them."""

    fingerprint: str
    """Hash of whatever determines the outputs."""

    lanes: int = 1
    """Photos that a worker takes at a time: more than one if it runs them in batches."""
