"""How much of a data set goes into which part."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

_NAME = re.compile(r"\w[\w-]{0,49}")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)
"""Names that no file can have on Windows."""

_FRACTION = re.compile(r"\d{0,9}\.\d{1,9}|\d{1,9}/\d{1,9}", re.ASCII)
_COUNT = re.compile(r"\d{1,9}", re.ASCII)

REST = "rest"
"""The share that takes what the others leave."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """What one part gets."""

    name: str
    """Of the part, and of its file and folder."""

    amount: Fraction | int | None
    """Part of the whole, or images; ``None`` for what the others leave."""


def parsed(texts: Sequence[str]) -> tuple[Share, ...]:
    """Read shares such as ``train=0.8``, ``val=500`` or ``test=rest``.

    Raises:
        ValueError: If a text is no share, a name can't be that of a file or occurs twice, there are
            both fractions and counts, or the fractions don't add up to 1.
    """
    shares = tuple(map(_share, texts))
    if not shares:
        raise ValueError("there are no parts; expected some, such as train=0.8 val=0.2")
    names: set[str] = set()
    for share in shares:
        if share.name.casefold() in names:
            raise ValueError(f"the part {share.name!r} is there twice")
        names.add(share.name.casefold())
    amounts = [share.amount for share in shares if share.amount is not None]
    if len(shares) - len(amounts) > 1:
        raise ValueError(f"two parts are to get the {REST}; expected one")
    if len({type(amount) for amount in amounts}) > 1:
        raise ValueError("there are both fractions and counts of images; expected one of them")
    if not isinstance(next(iter(amounts), 0), int):
        _refuse_other_sum(Fraction(sum(amounts)), rest=len(amounts) < len(shares))
    return shares


def sizes(shares: Sequence[Share], images: int) -> tuple[int, ...]:
    """Give the number of images of each part.

    Fractions of images go to the parts that lose most by rounding down.

    Raises:
        ValueError: If a part would get no image, or counts don't add up to all images.
    """
    given = sum(share.amount for share in shares if share.amount is not None)
    if isinstance(given, int):
        left = images - given
        counts = [left if share.amount is None else int(share.amount) for share in shares]
    else:
        exact = [(1 - given if share.amount is None else share.amount) * images for share in shares]
        counts = [int(each) for each in exact]
        by_loss = sorted(range(len(shares)), key=lambda i: counts[i] - exact[i])
        for i in by_loss[: images - sum(counts)]:
            counts[i] += 1
    for share, count in zip(shares, counts, strict=True):
        if count <= 0:
            raise ValueError(f"the part {share.name!r} would get none of the {images:,} images")
    if sum(counts) != images:
        raise ValueError(
            f"the parts have {sum(counts):,} images in all, expected the {images:,} that there "
            f"are; one part may get the {REST}"
        )
    return tuple(counts)


def _share(text: str) -> Share:
    name, equals, amount = text.partition("=")
    if not equals:
        raise ValueError(f"found the part {text!r}, expected a name and a share, as in train=0.8")
    if not _NAME.fullmatch(name) or _DEVICES.fullmatch(name):
        raise ValueError(
            f"the name of a part is {name!r}, expected up to 50 letters, digits, '_' and '-' that "
            "make the name of a folder on any system"
        )
    if amount == REST:
        return Share(name=name, amount=None)
    if _COUNT.fullmatch(amount) and int(amount):
        return Share(name=name, amount=int(amount))
    if _FRACTION.fullmatch(amount) and int(amount.partition("/")[2] or 1):
        return Share(name=name, amount=Fraction(amount))
    raise ValueError(
        f"the share of {name!r} is {amount!r}, expected a fraction such as 0.8, a number of images "
        f"or {REST!r}"
    )


def _refuse_other_sum(total: Fraction, *, rest: bool) -> None:
    if total > 1 or (total < 1 and not rest):
        raise ValueError(
            f"the fractions add up to {float(total):g}, expected 1; one part may get the {REST}"
        )
