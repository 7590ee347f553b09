"""Checks of settings and options that a program passes, before they choose the wrong rule."""

import math
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from numbers import Real
from typing import Literal, get_args, get_origin, get_type_hints


def nearest(name: str, known: Iterable[str]) -> str:
    """Suggest the known name that is most like another, whatever their case.

    Returns:
        A sentence with a space before it, ``" Did you mean coco?"``; empty if no name is like it.
    """
    names = {each.casefold(): each for each in known}
    near = get_close_matches(name.casefold(), names, 1)
    return f" Did you mean {names[near[0]]}?" if near else ""


def check_fractions(settings: object, *names: str) -> None:
    """Check that fields of a dataclass lie between 0 and 1.

    Raises:
        ValueError: If one does not.
    """
    for name in names:
        value = getattr(settings, name)
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is {value:g}; expected a number from 0 to 1")


MOST_CHANNELS = 8192
"""Most channels of a layer; those of the largest published networks are a fourth of it."""

_LONGEST, _MOST_PIXELS = 16_384, 2**26
"""Longest side and largest area of the images that a network takes."""


def check_ranges(settings: object, section: str, /, **ranges: tuple[int, int]) -> None:
    """Check that numbers of a dataclass, or those in its tuples, lie in ranges.

    Args:
        settings: The dataclass.
        section: What stands before the names in the settings, for messages.
        ranges: Least and greatest number by field.

    Raises:
        ValueError: If one does not.
    """
    for name, (least, most) in ranges.items():
        value = getattr(settings, name)
        numbers = value if isinstance(value, tuple) else (value,)
        if not all(number is None or least <= number <= most for number in numbers):
            dotted = f"{section}.{name}" if section else name
            raise ValueError(f"{dotted} is {value}; expected {least:,} to {most:,}")


def check_size(size: tuple[int, int] | None) -> None:
    """Check the height and width of a network's input.

    Raises:
        ValueError: If it is not positive, or would take more memory than any computer has.
    """
    if size is None:
        return
    if min(size) < 1:
        raise ValueError(f"size is {size}; expected a positive height and width")
    if max(size) > _LONGEST or size[0] * size[1] > _MOST_PIXELS:
        raise ValueError(
            f"size is {size}; expected a height and width up to {_LONGEST:,}, and at most "
            f"{_MOST_PIXELS:,} pixels"
        )


def check_choice(name: str, value: object, choices: Sequence[object]) -> None:
    """Check that a value is one of the choices.

    Raises:
        ValueError: If it is not; the message suggests the nearest one.
    """
    if value in choices:
        return
    near = get_close_matches(str(value), [str(choice) for choice in choices], 1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    raise ValueError(f"{name} is {value!r}. {hint}Choices: {', '.join(map(str, choices))}.")


def check_settings(settings: object) -> None:
    """Check the choices and the numbers of a frozen dataclass of settings.

    Fields annotated with ``float`` must be finite and are converted to it, so that NumPy's numbers
    are accepted.

    Raises:
        ValueError: If a value is none of its choices, or no finite number.
    """
    for name, hint in get_type_hints(type(settings)).items():
        value, choices = getattr(settings, name), _choices(hint)
        if choices:
            check_choice(name, value, choices)
        elif hint is float:
            if not isinstance(value, Real) or not math.isfinite(value):
                raise ValueError(f"{name} is {value!r}; expected a finite number")
            object.__setattr__(settings, name, float(value))


def _choices(hint: object) -> tuple[object, ...]:
    """Return the choices of ``Literal[...]`` or ``Literal[...] | None``; none of another type."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    choices = [choice for option in get_args(hint) for choice in _choices(option)]
    return (*choices, None) if choices and type(None) in get_args(hint) else ()
