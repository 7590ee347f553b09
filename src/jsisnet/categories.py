"""The classes of a data set, and how those of one data set become those of another."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from jsisnet.panoptic import IGNORE

CategoryId = int | str
"""A data set's own number or name of a category; sparse."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Category:
    """One class of a data set."""

    id: CategoryId
    """The data set's own id."""

    name: str
    """Unique within the data set."""

    isthing: bool
    """Whether the class is countable."""

    color: tuple[int, int, int] | None = None
    """RGB, 0 to 255, for drawing; two classes may share one."""

    supercategory: str | None = None
    """Name of the group that the class belongs to."""

    members: tuple[str, ...] = ()
    """Names of the classes that were merged into this one; empty if it was not merged."""


@dataclass(frozen=True)
class Categories:
    """The classes of a data set; the position of a class is its label.

    Raises:
        ValueError: If an id or a name occurs twice, or there are more than 255 classes.
    """

    items: tuple[Category, ...]
    _labels: dict[CategoryId, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        labels = {category.id: label for label, category in enumerate(self.items)}
        if len(labels) != len(self.items):
            twice = _first_twice([category.id for category in self.items])
            raise ValueError(f"category id {twice!r} occurs twice")
        if len({category.name for category in self.items}) != len(self.items):
            twice = _first_twice([category.name for category in self.items])
            raise ValueError(f"category name {twice!r} occurs twice")
        if len(self.items) > IGNORE:
            raise ValueError(f"{len(self.items)} categories; expected at most {IGNORE}")
        object.__setattr__(self, "_labels", labels)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Category]:
        return iter(self.items)

    def __getitem__(self, label: int) -> Category:
        return self.items[label]

    def __contains__(self, category_id: object) -> bool:
        return category_id in self._labels

    def label(self, category_id: CategoryId) -> int:
        """Give the label of a category id.

        Raises:
            KeyError: If there is no such category.
        """
        return self._labels[category_id]

    @property
    def thing_labels(self) -> tuple[int, ...]:
        """Labels of the countable classes, ascending; their order is that of thing channels."""
        return tuple(label for label, category in enumerate(self.items) if category.isthing)

    @property
    def stuff_labels(self) -> tuple[int, ...]:
        """Labels of the other classes, ascending; their order is that of stuff channels."""
        return tuple(label for label, category in enumerate(self.items) if not category.isthing)

    def merged_by(self, key: Literal["supercategory"]) -> "Categories":
        """Join the classes of each supercategory, things apart from stuff.

        A merged class has the supercategory's name, a new id from 1 on in order of first
        appearance, the colour of its first member, and remembers its members.

        Raises:
            ValueError: If a class has no supercategory, or if things and stuff share the name of
                one.
        """
        groups: dict[tuple[str, bool], list[Category]] = {}
        for category in self.items:
            name = getattr(category, key)
            if name is None:
                raise ValueError(f"category {category.name!r} has no {key}, so it can't be merged")
            groups.setdefault((name, category.isthing), []).append(category)
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
        """Give, for each label of `source`, the label of the same class here.

        Classes are matched by name, also by the names of the members of merged classes.

        Raises:
            ValueError: If a class of `source` has no counterpart; the message names it.
        """
        by_name = {category.name: label for label, category in enumerate(self.items)}
        by_name |= {name: label for label, c in enumerate(self.items) for name in c.members}
        for category in source:
            label = by_name.get(category.name)
            if label is None or self.items[label].isthing != category.isthing:
                kind = "thing" if category.isthing else "stuff"
                raise ValueError(
                    f"the {kind} category {category.name!r} (id {category.id!r}) has no "
                    f"counterpart among the {len(self)} known ones"
                )
        return tuple(by_name[category.name] for category in source)


def _first_twice(values: Sequence[CategoryId]) -> CategoryId:
    return next(value for i, value in enumerate(values) if value in values[:i])
