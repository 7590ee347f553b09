"""The classes of a data set, and their correspondence to those of another."""

import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Literal

CategoryId = int | str
"""Id of a category in the files of a data set; sparse."""

_MAX_SHOWN = 10
"""Ids that a message lists."""

UNKNOWN = -1
"""Label that stands for a missing category."""

_PLACEHOLDERS = {
    *("", "none", "null", "nil", "na", "nan", "notapplicable", "undefined", "unknown"),
    *("unspecified", "uncategorized", "default", "supercategory"),
}
"""Supercategories that say nothing, as letters only in lower case."""

_SIDE = re.compile(r"(?<![^\W\d_])(left|right)(?![^\W\d_])")
"""The word left or right, not as a part of another word."""
_OTHER_SIDE = {"left": "right", "right": "left"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Category:
    """One class of a data set."""

    id: CategoryId
    """Id in the files of the data set."""

    name: str
    """Unique within the data set."""

    isthing: bool
    """Whether the class is countable."""

    color: tuple[int, int, int] | None = None
    """RGB, 0 to 255, for drawing; not necessarily unique."""

    supercategory: str | None = None
    """Name of the group that the class belongs to."""

    members: tuple[str, ...] = ()
    """Names of the classes that were merged into this one; empty if it was not merged."""


@dataclass(frozen=True)
class Categories:
    """The classes of a data set; the position of a class is its label.

    Raises:
        ValueError: If an id or a name is not unique.
    """

    items: tuple[Category, ...]
    _labels: dict[CategoryId, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        labels = {category.id: label for label, category in enumerate(self.items)}
        if len(labels) != len(self.items):
            duplicate = _first_duplicate([category.id for category in self.items])
            raise ValueError(f"duplicate category id {duplicate!r}")
        if len({category.name for category in self.items}) != len(self.items):
            duplicate = _first_duplicate([category.name for category in self.items])
            ids = [repr(category.id) for category in self.items if category.name == duplicate]
            more = ", ..." if len(ids) > _MAX_SHOWN else ""
            raise ValueError(
                f"duplicate category name {duplicate!r} (ids {', '.join(ids[:_MAX_SHOWN])}{more})"
            )
        object.__setattr__(self, "_labels", labels)

    def __repr__(self) -> str:
        things, stuff = len(self.thing_labels), len(self.stuff_labels)
        return f"Categories({len(self)}: {things} things, {stuff} stuff)"

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Category]:
        return iter(self.items)

    def __getitem__(self, label: int) -> Category:
        return self.items[label]

    def __contains__(self, category_id: object) -> bool:
        return category_id in self._labels

    def label(self, category_id: CategoryId) -> int:
        """Return the label of a category id.

        Raises:
            KeyError: If there is no such category.
        """
        return self._labels[category_id]

    def labels(self, category_ids: Iterable[CategoryId]) -> list[int]:
        """Return the labels of category ids, `UNKNOWN` for those that are missing."""
        return [self._labels.get(category_id, UNKNOWN) for category_id in category_ids]

    @property
    def thing_labels(self) -> tuple[int, ...]:
        """Labels of the things, ascending; position i belongs to thing channel i."""
        return tuple(label for label, category in enumerate(self.items) if category.isthing)

    @property
    def stuff_labels(self) -> tuple[int, ...]:
        """Labels of the stuff classes, ascending; position i belongs to stuff channel i."""
        return tuple(label for label, category in enumerate(self.items) if not category.isthing)

    @property
    def mirrored(self) -> tuple[int, ...]:
        """Label of each class in a horizontally flipped image.

        Two things, or two stuff classes, swap labels if exchanging the words left and right turns
        one name into the other, ignoring case, such as ``Arrow (Left)`` and ``Arrow (Right)``. All
        other classes keep their labels.
        """
        names = [(category.name.casefold(), category.isthing) for category in self.items]
        labels = {name: label for label, name in enumerate(names)}
        partners = [
            labels.get((_SIDE.sub(lambda side: _OTHER_SIDE[side[0]], name), isthing), label)
            for label, (name, isthing) in enumerate(names)
        ]
        # Names that differ only in case would share a partner.
        return tuple(
            partner if partners[partner] == label else label
            for label, partner in enumerate(partners)
        )

    def merged_by(self, key: Literal["supercategory"]) -> "Categories":
        """Merge the classes of each supercategory, things and stuff separately.

        A merged class has the name of the supercategory, the colour of its first member, the names
        of its members, and a new id: 1, 2, ... in order of first appearance.

        Raises:
            ValueError: If a class has no supercategory, all have the same placeholder, or a
                supercategory has both things and stuff.
        """
        groups: dict[tuple[str, bool], list[Category]] = {}
        for category in self.items:
            name = getattr(category, key)
            if name is None or not name.strip():
                raise ValueError(f"category {category.name!r} has no {key}; cannot merge it")
            groups.setdefault((name, category.isthing), []).append(category)
        names = {name for name, _ in groups}
        if len(names) == 1 and _plain(*names) in _PLACEHOLDERS:
            raise ValueError(
                f"the {key} of all {len(self)} categories is {names.pop()!r}, which says nothing; "
                "cannot merge them"
            )
        return Categories(
            tuple(
                Category(
                    id=number,
                    name=name,
                    isthing=isthing,
                    color=group[0].color,
                    members=tuple(category.name for category in group),
                )
                for number, ((name, isthing), group) in enumerate(groups.items(), 1)
            )
        )

    def labels_of(self, source: "Categories") -> tuple[int, ...]:
        """Return, for each label of `source`, the label of the same class here.

        Classes are matched by name, or by the name of a member of a merged class.

        Raises:
            ValueError: If a class of `source` has no counterpart; the message names it.
        """
        by_name = self._labels_by_name()
        for category in source:
            label = by_name.get(category.name)
            if label is None or self.items[label].isthing != category.isthing:
                kind = "thing" if category.isthing else "stuff"
                raise ValueError(
                    f"the {kind} category {category.name!r} (id {category.id!r}) is not "
                    f"one of the {len(self)} known categories"
                )
        return tuple(by_name[category.name] for category in source)

    def joined_with(self, other: "Categories") -> "Categories":
        """Append the classes of another data set that are missing here.

        Classes are matched by name, or by the name of a member of a merged class; a class that is
        merged in both gets the members of both. An appended class keeps its id unless it is taken.

        Raises:
            ValueError: If a class is a thing in one data set and stuff in the other, or the two
                merge classes in different ways; the message names the class.
        """
        items = list(self.items)
        taken, free = {category.id for category in items}, count(1)
        names = {category.name: label for label, category in enumerate(items)}
        owners = self._labels_by_name()
        for category in other:
            label = (names if category.members else owners).get(category.name)
            if label is None:
                label = len(items)
                items.append(replace(category, id=_free_id(category.id, taken, free)))
                taken.add(items[-1].id)
            elif items[label].isthing != category.isthing:
                kind, before = ("a thing", "stuff") if category.isthing else ("stuff", "a thing")
                raise ValueError(
                    f"category {category.name!r} is {kind}, but {before} in an earlier data set"
                )
            elif category.members:
                members = dict.fromkeys((*items[label].members, *category.members))
                items[label] = replace(items[label], members=tuple(members))
            for name in category.members or (category.name,):
                if owners.setdefault(name, label) != label:
                    raise ValueError(
                        f"category {name!r} is merged into {items[label].name!r}, but into "
                        f"{items[owners[name]].name!r} in an earlier data set; merge the classes "
                        "in the same way"
                    )
        return Categories(tuple(items))

    def labelled_by(self, source: "Categories") -> tuple[bool, ...]:
        """Return, for each label, whether `source` annotates the class completely.

        A merged class needs all its members.
        """
        names = {name for c in source for name in (c.members or (c.name,))}
        return tuple(
            category.name in names if not category.members else names.issuperset(category.members)
            for category in self.items
        )

    def _labels_by_name(self) -> dict[str, int]:
        by_name = {category.name: label for label, category in enumerate(self.items)}
        return by_name | {name: label for label, c in enumerate(self.items) for name in c.members}


def _plain(name: str) -> str:
    """Return the letters of a name in lower case."""
    return "".join(filter(str.isalpha, name.casefold()))


def _free_id(wanted: CategoryId, taken: Container[CategoryId], free: Iterator[int]) -> CategoryId:
    return wanted if wanted not in taken else next(number for number in free if number not in taken)


def _first_duplicate(values: Sequence[CategoryId]) -> CategoryId:
    counts = Counter(values)
    return next(value for value in values if counts[value] > 1)
