"""Classes as values of pixels."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from jsisnet.categories import Categories

HIGHEST_ID = 254
"""Of a class that fits into 8 bits, beside two values that mean void in many data sets."""

USUAL_VOID = (0, 255)
"""Values of void, unless a class has them as its id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Coding:
    """What the values of classes mean."""

    categories: Categories
    """Their ids are the values."""

    void: frozenset[int]
    """Values without a class."""

    @classmethod
    def of(cls, categories: Categories, void: Collection[int] | None = None) -> "Coding":
        """Take the given values for void, or else the usual ones that are no class.

        Raises:
            ValueError: If a value is a class too.
        """
        if void is None:
            return cls(
                categories=categories, void=frozenset(USUAL_VOID) - {c.id for c in categories}
            )
        for value in void:
            if value in categories:
                raise ValueError(f"{value} can't be void: it is the id of a category")
        return cls(categories=categories, void=frozenset(void))

    def label(self, value: int) -> int | None:
        """Give the label of a value, or `None` for void.

        Raises:
            ValueError: If it is neither void nor the id of a class.
        """
        if value in self.void:
            return None
        if value not in self.categories:
            known = " and ".join(map(str, sorted(self.void))) or "no value"
            raise ValueError(
                f"class {value} is none of the {len(self.categories)} categories ({known} is void)"
            )
        return self.categories.label(value)


def in_numbers(categories: Categories, highest: int) -> Categories:
    """Give classes ids that fit into pixels: their own, or else their positions plus 1.

    Raises:
        ValueError: If there are too many classes.
    """
    if all(isinstance(c.id, int) and 0 < c.id <= highest for c in categories):
        return categories
    if len(categories) > highest:
        raise ValueError(f"there are {len(categories)} classes; the format has room for {highest}")
    return Categories(tuple(replace(c, id=i) for i, c in enumerate(categories, 1)))
