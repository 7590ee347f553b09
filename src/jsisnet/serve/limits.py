"""Limits of a server, so that no client can take all of its memory or time."""

from dataclasses import dataclass

from jsisnet.checks import check_ranges


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a server accepts.

    Raises:
        ValueError: If a limit is out of range.
    """

    body: int = 32 * 2**20
    """Bytes of a request's body."""

    pixels: int = 50_000_000
    """Pixels of a photo, which its header states; each takes up to 15 bytes of memory."""

    held: int = 2**30
    """Bytes of all bodies that are held at a time, while they are read, wait and run; and of all
    responses that clients have not read."""

    pending: int = 64
    """Requests that may wait or run at a time."""

    connections: int = 512
    """Open connections; further ones are closed at once."""

    read_seconds: float = 10.0
    """Time a client may pause while it sends a request, its header included."""

    transfer_seconds: float = 120.0
    """Time the body of a request, or its response, may take to be transferred."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            "",
            body=(1, 2**31),
            held=(1, 2**50),
            pixels=(1, 200_000_000),
            pending=(1, 100_000),
            connections=(1, 1_000_000),
        )
        for name in ("read_seconds", "transfer_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; expected a positive number")
