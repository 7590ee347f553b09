"""Data sets with some of their classes joined, or left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial

from jsisnet.categories import UNKNOWN, Categories, Category
from jsisnet.files import json_fields
from jsisnet.formats.records import Record, Source, drop_unknown, relabel
from jsisnet.panoptic import PanopticMap

VOID = "void"
"""Name that stands for no class."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Classes that become one."""

    members: tuple[str, ...]
    """Their names."""

    isthing: bool | None = None
    """Whether the new class is countable; by default it is what its members are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Joining:
    """What becomes of classes."""

    categories: Categories
    """The new classes."""

    labels: tuple[int, ...]
    """For each old label the new one, or `UNKNOWN` for what becomes void."""


def parse(values: Mapping[object, object]) -> dict[str, Group]:
    """Read groups by name: each is a list of members, or has `members` and perhaps `isthing`.

    Raises:
        ValueError: If something else is there; the message names the group.
    """
    named = {_name(key): value for key, value in values.items()}
    return {name: _group(name, value) for name, value in named.items()}


def by_supercategory(categories: Categories) -> Joining:
    """Join the classes of each supercategory, as `Categories.merged_by` does.

    Raises:
        ValueError: If a class has no supercategory, or things and stuff share one.
    """
    for name in dict.fromkeys(category.supercategory for category in categories):
        if name is not None:
            members = [category for category in categories if category.supercategory == name]
            _refuse_both_kinds(name, members, "a mapping that gives them two names")
    merged = categories.merged_by("supercategory")
    # So the result can be joined in this way again.
    named = Categories(tuple(replace(each, supercategory=each.name) for each in merged))
    return Joining(categories=named, labels=named.labels_of(categories))


def by_groups(
    categories: Categories, groups: Mapping[str, Group], *, only: bool = False
) -> Joining:
    """Join the classes of each group.

    A new class has id and colour of the member with its name, or else of its first member, the
    place of the one that comes first in the data set, and the supercategory that all share.

    Args:
        categories: The classes.
        groups: By the names of the new classes; members of the one called `VOID` become void.
        only: Whether classes that no group has become void; by default they stay as they are.

    Raises:
        ValueError: If a member is no class or has two groups, stuff would become things, or a name
            would occur twice.
    """
    owners = _owners(categories, groups)
    by_name = {category.name: category for category in categories}
    made: dict[str, Category] = {}
    targets: list[str | None] = []
    for category in categories:
        name = owners.get(category.name, None if only else category.name)
        isvoid = name is None or (name == VOID and category.name in owners)
        targets.append(None if isvoid else name)
        if name is None or isvoid or name in made:
            continue
        if category.name in owners:
            members = [by_name[member] for member in groups[name].members]
            made[name] = _joined(name, groups[name], members)
        else:
            _refuse_taken(name, groups)
            made[name] = category
    if not made:
        raise ValueError("no class is left")
    labels: dict[str | None, int] = {name: label for label, name in enumerate(made)}
    return Joining(
        categories=Categories(tuple(made.values())),
        labels=tuple(labels.get(name, UNKNOWN) for name in targets),
    )


def joined(source: Source, joining: Joining) -> Source:
    """Give a data set in its new classes; maps are relabelled when they are read."""
    records = (replace(record, read=partial(_read, record, joining)) for record in source.records)
    return Source(categories=joining.categories, records=tuple(records))


def _read(record: Record, joining: Joining) -> PanopticMap:
    kept = [UNKNOWN if new == UNKNOWN else old for old, new in enumerate(joining.labels)]
    return relabel(drop_unknown(record.read(), kept), joining.labels, joining.categories)


def _owners(categories: Categories, groups: Mapping[str, Group]) -> dict[str, str]:
    """Give the group of each class that has one."""
    known = [category.name for category in categories]
    owners: dict[str, str] = {}
    for name, group in groups.items():
        for member in group.members:
            if member not in known:
                raise ValueError(f"{name!r}: {_unknown(member, known, groups)}")
            if member in owners:
                where = "twice" if owners[member] == name else f"in {owners[member]!r} too"
                raise ValueError(f"{name!r}: the class {member!r} is {where}")
            owners[member] = name
    return owners


def _name(name: object) -> str:
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"the name of a class is {name!r}, expected a text, perhaps in quotes")
    return name


def _group(name: str, value: object) -> Group:
    values = value if isinstance(value, dict) else {"members": value}
    try:
        for key in values:
            if key not in ("members", "isthing"):
                raise ValueError(f"found {key!r}, expected 'members' and perhaps 'isthing'")
        members = json_fields.texts(values, "members")
        if not members and name != VOID:
            raise ValueError("has no members")
        isthing = (
            json_fields.flag(values, "isthing") if json_fields.has(values, "isthing") else None
        )
    except ValueError as error:
        raise ValueError(f"{name!r}: {error}") from None
    if isthing is not None and name == VOID:
        raise ValueError(f"{name!r}: has 'isthing', but stands for no class")
    return Group(members=members, isthing=isthing)


def _joined(name: str, group: Group, members: Sequence[Category]) -> Category:
    kinds = {member.isthing for member in members}
    isthing = group.isthing
    if isthing is None:
        _refuse_both_kinds(name, members, "'isthing: false' if all is to be stuff")
    if isthing and not all(kinds):
        stuff = next(member.name for member in members if not member.isthing)
        raise ValueError(
            f"{name!r}: {stuff!r} is stuff, which has no single things, so it can't be part of a "
            "class of things"
        )
    first = next((member for member in members if member.name == name), members[0])
    if len(members) == 1 and first.name == name and isthing in (None, first.isthing):
        return first
    shared = {member.supercategory for member in members}
    return Category(
        id=first.id,
        name=name,
        isthing=all(kinds) if isthing is None else isthing,
        color=first.color,
        supercategory=shared.pop() if len(shared) == 1 else None,
        members=tuple(member.name for member in members),
    )


def _refuse_both_kinds(name: str, members: Sequence[Category], expected: str) -> None:
    if len({member.isthing for member in members}) > 1:
        things = next(member.name for member in members if member.isthing)
        stuff = next(member.name for member in members if not member.isthing)
        raise ValueError(
            f"{name!r}: {things!r} is a thing and {stuff!r} is stuff; expected {expected}"
        )


def _unknown(member: str, known: Sequence[str], groups: Mapping[str, Group]) -> str:
    if member in groups:
        return f"{member!r} is a new class, expected classes of the data set"
    near = get_close_matches(member, known, 1)
    hint = f"; the nearest is {near[0]!r}" if near else ""
    return f"there is no class {member!r} in the data set{hint}"


def _refuse_taken(name: str, groups: Mapping[str, Group]) -> None:
    if name in groups and name != VOID:
        raise ValueError(
            f"{name!r}: the data set has a class of this name; expected it among the members of a "
            "group"
        )
