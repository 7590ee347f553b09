"""What is wrong with a photo."""

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from jsisnet.datatools.check.rules import Case, Rule
from jsisnet.files.photos import read_image

_ORIENTATION = 0x112
_UPRIGHT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Photo:
    """A photo that can be read."""

    size: tuple[int, int]
    """Height and width in pixels, as they are stored."""

    digest: str
    """Differs for other pixels."""

    cases: tuple[Case, ...]
    """What is odd about it, in sentences that do not name it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What lies where a photo should be."""

    path: Path
    """The photo, whose name may have another case than the one that was looked for."""

    photo: Photo | None
    """``None`` if it can't be read."""

    cases: tuple[Case, ...]
    """What is wrong or odd, in sentences that name the photo."""


def look_for(path: Path) -> Found:
    """Look for a photo and read it."""
    cases = []
    if not path.is_file():
        name = other_case(path)
        if name is None:
            missing = Case(Rule.PHOTO_MISSING, f"{path} does not exist")
            return Found(path=path, photo=None, cases=(missing,))
        cases.append(Case(Rule.PHOTO_CASE, f"{path} does not exist, but {name} does"))
        path = path.with_name(name)
    try:
        photo = read_photo(path)
    except ValueError as error:
        return Found(path=path, photo=None, cases=(*cases, Case(Rule.PHOTO, str(error))))
    cases += [Case(case.rule, f"{path}: {case.sentence}") for case in photo.cases]
    return Found(path=path, photo=photo, cases=tuple(cases))


def read_photo(path: Path) -> Photo:
    """Read a photo as a training would.

    Raises:
        ValueError: If it can't be read; the message names it.
    """
    pixels = read_image(path)
    height, width, _ = pixels.shape
    # Faster than those without weaknesses, and nobody gains by two photos that seem the same.
    digest = hashlib.sha1(pixels.data, usedforsecurity=False)
    digest.update(f"{height}x{width}".encode())
    return Photo(size=(height, width), digest=digest.hexdigest(), cases=tuple(_oddities(path)))


def other_case(path: Path) -> str | None:
    """Give the name of a file that differs from a missing one in upper and lower case alone."""
    if not path.parent.is_dir():
        return None
    names = (found.name for found in path.parent.iterdir())
    return next((name for name in names if name.casefold() == path.name.casefold()), None)


def _oddities(path: Path) -> list[Case]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those about its size, which is right
        try:
            with Image.open(path) as image:
                mode = image.mode
                turned = image.getexif().get(_ORIENTATION, _UPRIGHT) != _UPRIGHT
        except Exception:  # damaged EXIF data raises anything, and turns nothing
            return []
    cases = []
    if turned:
        cases.append(Case(Rule.PHOTO_TURNED, "EXIF says to turn it, but the map isn't turned"))
    if mode != "RGB":
        cases.append(Case(Rule.PHOTO_MODE, f"its pixels are {mode}"))
    return cases
