"""Splitting a COCO data set into parts, such as train and val, that are data sets themselves."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from hashlib import file_digest, sha256
from pathlib import Path

import numpy as np
import regex

from jsisnet.arrays import Bool, Int64
from jsisnet.datatools.parts import (
    Files,
    Listing,
    folder_of_pngs,
    link_maps,
    read_listing,
    write_part,
)
from jsisnet.datatools.stratify import stratify
from jsisnet.files import journal
from jsisnet.files.journal import JOURNAL

_NAME = re.compile(r"\w[\w-]{0,49}")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)
"""Names reserved by Windows."""

_FRACTION = re.compile(r"\d{0,9}\.\d{1,9}|\d{1,9}/\d{1,9}", re.ASCII)
_COUNT = re.compile(r"\d{1,9}", re.ASCII)

_MAX_MATCHING = 10
"""Seconds for matching all names, as an expression may take years for a single one."""

REST = "rest"
"""The share that takes all remaining images."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """Size of one part."""

    name: str
    """Name of the part, its JSON file and its folder."""

    amount: Fraction | int | None
    """Fraction or number of the images; ``None`` for all remaining ones."""


def parse_shares(texts: Sequence[str]) -> tuple[Share, ...]:
    """Parse shares such as ``train=0.8``, ``val=500`` or ``test=rest``.

    Raises:
        ValueError: If a share is invalid, a name is a duplicate or no valid file name, fractions
            and counts are mixed, or the fractions don't add up to 1.
    """
    shares = tuple(map(_share, texts))
    if not shares:
        raise ValueError("no parts; expected at least one, such as train=0.8 val=0.2")
    names: set[str] = set()
    for share in shares:
        if share.name.casefold() in names:
            raise ValueError(f"duplicate part {share.name!r}")
        names.add(share.name.casefold())
    amounts = [share.amount for share in shares if share.amount is not None]
    if len(shares) - len(amounts) > 1:
        raise ValueError(f"two parts have the share {REST!r}; expected at most one")
    if len({type(amount) for amount in amounts}) > 1:
        raise ValueError("the parts mix fractions and numbers of images; use only one kind")
    if not isinstance(next(iter(amounts), 0), int):
        _refuse_other_sum(Fraction(sum(amounts)), rest=len(amounts) < len(shares))
    return shares


def sizes(shares: Sequence[Share], images: int) -> tuple[int, ...]:
    """Return the number of images of each part.

    Sizes are rounded down; the remaining images go to the parts that lost most.

    Raises:
        ValueError: If a part would be empty, or counts don't add up to all images.
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
            raise ValueError(f"the part {share.name!r} would have none of the {images:,} images")
    if sum(counts) != images:
        raise ValueError(
            f"the parts have {sum(counts):,} images in total; expected {images:,}; one part may "
            f"have the share {REST!r}"
        )
    return tuple(counts)


def _share(text: str) -> Share:
    name, equals, amount = text.partition("=")
    if not equals:
        raise ValueError(f"the part {text!r} is invalid; expected NAME=SHARE, such as train=0.8")
    if not _NAME.fullmatch(name) or _DEVICES.fullmatch(name):
        raise ValueError(
            f"the part name {name!r} is invalid; expected a folder name of up to 50 letters, "
            "digits, '_' and '-'"
        )
    if amount == REST:
        return Share(name=name, amount=None)
    if _COUNT.fullmatch(amount) and int(amount):
        return Share(name=name, amount=int(amount))
    if _FRACTION.fullmatch(amount) and int(amount.partition("/")[2] or 1):
        return Share(name=name, amount=Fraction(amount))
    raise ValueError(
        f"the share of {name!r} is {amount!r}; expected a fraction such as 0.8, a number of images "
        f"or {REST!r}"
    )


def _refuse_other_sum(total: Fraction, *, rest: bool) -> None:
    if total > 1 or (total < 1 and not rest):
        raise ValueError(
            f"the fractions add up to {float(total):g}; expected 1; one part may have the share "
            f"{REST!r}"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitConfig:
    """How images are assigned to parts."""

    shares: tuple[Share, ...]
    """Names and sizes of the parts."""

    seed: int = 0
    """Seed of the random order of equally good choices, 0 or more."""

    group: str | None = None
    """Regular expression that matches whole photo names; photos whose groups match the same strings
    stay together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PartSummary:
    """Contents of one part."""

    name: str
    images: int
    annotations: int
    missing: tuple[str, ...]
    """Names of classes that only other parts have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitSummary:
    """Result of a split."""

    parts: tuple[PartSummary, ...]
    groups: int
    """Number of groups; a photo without a group is a group by itself."""

    unseen: tuple[str, ...]
    """Names of classes that no image has."""


def split(
    files: Files,
    out: Path,
    config: SplitConfig,
    *,
    on_map: Callable[[int, int], None] = lambda *_: None,
) -> SplitSummary:
    """Write a JSON file for each part, and the folder of its maps.

    Maps are hard-linked where the file system allows it, and copied otherwise. Entries keep all
    their fields. Rerun an interrupted split to resume it; a complete one is brought up to date.

    Args:
        files: The data set.
        out: Output folder, which must be new.
        config: How images are assigned to parts.
        on_map: Called with the number of maps done and the total.

    Raises:
        ValueError: If the file is invalid, a map is missing, a part would be empty, or the output
            folder holds other files, or another split.
    """
    journal.refuse_other_files(out / JOURNAL)
    listing = read_listing(files.annotations, files.kind)
    pngs = folder_of_pngs(files)
    wanted = sizes(config.shares, len(listing.names))
    groups = _groups(listing.names, config.group)
    if groups.max() + 1 < len(wanted):
        raise ValueError(
            f"{groups.max() + 1} images or groups that stay together can't be split into "
            f"{len(wanted)} parts"
        )
    parts = _parts(listing.presence, groups, wanted, config.seed)
    with journal.open_journal(out / JOURNAL, _fingerprint(files, config)) as unfinished:
        if files.kind == "coco":
            folders = {i: out / config.shares[part].name for i, part in enumerate(parts)}
            link_maps(listing, pngs, folders, on_map)
        for number, share in enumerate(config.shares):
            images = [(listing, i) for i in np.flatnonzero(parts == number).tolist()]
            write_part(images, out / f"{share.name}.json")
        unfinished.finish({})
    return _summary(listing, groups, parts, config.shares)


def _groups(names: Sequence[str], group: str | None) -> Int64[np.ndarray, " n"]:
    """Return the number of each photo's group; a photo without a group has its own."""
    if group is None:
        return np.arange(len(names))
    try:
        pattern = regex.compile(group)
    except regex.error as error:
        raise ValueError(
            f"the group {group!r} is not a valid regular expression: {error}"
        ) from None
    if not pattern.groups:
        raise ValueError(
            f"the group {group!r} has no parentheses around the common part of the names"
        )
    matches = _matches(pattern, names)
    if not any(matches):
        raise ValueError(f"the group {group!r} matches no photo; the first is {names[0]!r}")
    numbers: dict[object, int] = {}
    return np.array(
        [
            numbers.setdefault(i if match is None else match.groups(), len(numbers))
            for i, match in enumerate(matches)
        ]
    )


def _matches(pattern: regex.Pattern[str], names: Sequence[str]) -> list[regex.Match[str] | None]:
    end = time.monotonic() + _MAX_MATCHING
    try:
        # A negative limit would be none.
        return [pattern.fullmatch(n, timeout=max(0, end - time.monotonic())) for n in names]
    except TimeoutError:
        raise ValueError(
            f"the group {pattern.pattern!r} takes more than {_MAX_MATCHING} seconds to match the "
            f"{len(names):,} names; expected a simpler expression, without repetitions of "
            "repetitions such as (a+)+"
        ) from None


def _parts(
    presence: Bool[np.ndarray, "n k"],
    groups: Int64[np.ndarray, " n"],
    wanted: tuple[int, ...],
    seed: int,
) -> Int64[np.ndarray, " n"]:
    classes = np.zeros((int(groups.max()) + 1, presence.shape[1]), np.int32)
    np.add.at(classes, groups, presence)
    return stratify(classes, np.bincount(groups), np.array(wanted), seed)[groups]


def _fingerprint(files: Files, config: SplitConfig) -> str:
    """Return a string that differs for other files or parts."""
    with files.annotations.open("rb") as file:
        content = file_digest(file, "sha256").hexdigest()
    paths = [each and each.absolute() for each in (files.annotations, files.pngs)]
    return sha256(repr((paths, files.kind, config, content)).encode()).hexdigest()


def _summary(
    listing: Listing,
    groups: Int64[np.ndarray, " n"],
    parts: Int64[np.ndarray, " n"],
    shares: Sequence[Share],
) -> SplitSummary:
    anywhere = listing.presence.any(0)
    found = []
    for number, share in enumerate(shares):
        own = np.flatnonzero(parts == number).tolist()
        missing = np.flatnonzero(anywhere & ~listing.presence[own].any(0))
        found.append(
            PartSummary(
                name=share.name,
                images=len(own),
                annotations=sum(len(listing.annotations[i]) for i in own),
                missing=tuple(listing.classes[column] for column in missing.tolist()),
            )
        )
    return SplitSummary(
        parts=tuple(found),
        groups=int(groups.max()) + 1,
        unseen=tuple(listing.classes[column] for column in np.flatnonzero(~anywhere).tolist()),
    )
