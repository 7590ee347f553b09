"""Merging and dropping classes of a data set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial

from jsisnet.categories import UNKNOWN, Categories, Category
from jsisnet.files import json_fields
from jsisnet.formats.records import Record, Source, drop_unknown, relabel
from jsisnet.panoptic import PanopticMap

VOID_NAME = "void"
"""Name of the group whose members become void."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassGroup:
    """Classes that are merged into one."""

    members: tuple[str, ...]
    """Names of the classes."""

    isthing: bool | None = None
    """Whether the new class is a thing; by default that of its members."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassMapping:
    """Maps the classes of a data set to new ones."""

    categories: Categories
    """The new classes."""

    labels: tuple[int, ...]
    """New label of each old label; `UNKNOWN` if the class becomes void."""


def parse_groups(values: Mapping[object, object]) -> dict[str, ClassGroup]:
    """Parse groups by name: each is a list of members, or has `members` and perhaps `isthing`.

    Raises:
        ValueError: If a group is invalid; the message names it.
    """
    named = {_parse_name(key): value for key, value in values.items()}
    return {name: _parse_group(name, value) for name, value in named.items()}


def map_by_supercategory(categories: Categories) -> ClassMapping:
    """Merge the classes of each supercategory, as `Categories.merged_by` does.

    Raises:
        ValueError: If a class has no supercategory, or things and stuff share one.
    """
    for name in dict.fromkeys(category.supercategory for category in categories):
        if name is not None:
            members = [category for category in categories if category.supercategory == name]
            _refuse_both_kinds(name, members, "a mapping that gives them two names")
    merged = categories.merged_by("supercategory")
    # So that the result can be merged by supercategory again.
    named = Categories(tuple(replace(each, supercategory=each.name) for each in merged))
    return ClassMapping(categories=named, labels=named.labels_of(categories))


def map_by_groups(
    categories: Categories, groups: Mapping[str, ClassGroup], *, only: bool = False
) -> ClassMapping:
    """Merge the classes of each group.

    A new class takes id and colour from the member of the same name, or else from its first member.
    It takes the position of the member that comes first in the data set, and the supercategory if
    all members share it.

    Args:
        categories: The classes.
        groups: Groups by the name of the new class; the members of `VOID_NAME` become void.
        only: Whether classes outside all groups become void; by default they stay unchanged.

    Raises:
        ValueError: If a member is unknown or in two groups, stuff would become things, or a name
            would occur twice.
    """
    owners = _owners(categories, groups)
    by_name = {category.name: category for category in categories}
    made: dict[str, Category] = {}
    targets: list[str | None] = []
    for category in categories:
        name = owners.get(category.name, None if only else category.name)
        isvoid = name is None or (name == VOID_NAME and category.name in owners)
        targets.append(None if isvoid else name)
        if name is None or isvoid or name in made:
            continue
        if category.name in owners:
            members = [by_name[member] for member in groups[name].members]
            made[name] = _merge(name, groups[name], members)
        else:
            _refuse_taken(name, groups)
            made[name] = category
    if not made:
        raise ValueError("no class remains; keep at least one")
    labels: dict[str | None, int] = {name: label for label, name in enumerate(made)}
    return ClassMapping(
        categories=Categories(tuple(made.values())),
        labels=tuple(labels.get(name, UNKNOWN) for name in targets),
    )


def map_classes(source: Source, mapping: ClassMapping) -> Source:
    """Return a data set with its new classes; maps are relabelled when they are read."""
    records = (
        replace(record, read=partial(_read_map, record, mapping)) for record in source.records
    )
    return replace(source, categories=mapping.categories, records=tuple(records))


def _read_map(record: Record, mapping: ClassMapping) -> PanopticMap:
    kept = [UNKNOWN if new == UNKNOWN else old for old, new in enumerate(mapping.labels)]
    return relabel(drop_unknown(record.read(), kept), mapping.labels, mapping.categories)


def _owners(categories: Categories, groups: Mapping[str, ClassGroup]) -> dict[str, str]:
    """Return the group of each class that is in one."""
    known = [category.name for category in categories]
    owners: dict[str, str] = {}
    for name, group in groups.items():
        for member in group.members:
            if member not in known:
                raise ValueError(f"{name!r}: {_unknown_member(member, known, groups)}")
            if member in owners:
                where = "twice" if owners[member] == name else f"in {owners[member]!r}, too"
                raise ValueError(f"{name!r}: the class {member!r} is listed {where}")
            owners[member] = name
    return owners


def _parse_name(name: object) -> str:
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"the name of a class is {name!r}; expected a string (put it in quotes)")
    return name


def _parse_group(name: str, value: object) -> ClassGroup:
    values = value if isinstance(value, dict) else {"members": value}
    try:
        for key in values:
            if key not in ("members", "isthing"):
                raise ValueError(f"unknown key {key!r}; expected 'members' and perhaps 'isthing'")
        members = json_fields.strings(values, "members")
        if not members and name != VOID_NAME:
            raise ValueError("no members")
        isthing = (
            json_fields.flag(values, "isthing") if json_fields.has(values, "isthing") else None
        )
    except ValueError as error:
        raise ValueError(f"{name!r}: {error}") from None
    if isthing is not None and name == VOID_NAME:
        raise ValueError(f"{name!r}: 'isthing' can't be set, because void is not a class")
    return ClassGroup(members=members, isthing=isthing)


def _merge(name: str, group: ClassGroup, members: Sequence[Category]) -> Category:
    kinds = {member.isthing for member in members}
    isthing = group.isthing
    if isthing is None:
        _refuse_both_kinds(name, members, "'isthing: false' to make all of them stuff")
    if isthing and not all(kinds):
        stuff = next(member.name for member in members if not member.isthing)
        raise ValueError(
            f"{name!r}: {stuff!r} is stuff, which has no instances, so it can't be part of a thing "
            "class"
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


def _unknown_member(member: str, known: Sequence[str], groups: Mapping[str, ClassGroup]) -> str:
    if member in groups:
        return f"{member!r} is a new class; expected classes of the data set"
    near = get_close_matches(member, known, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"the data set has no class {member!r}{hint}"


def _refuse_taken(name: str, groups: Mapping[str, ClassGroup]) -> None:
    if name in groups and name != VOID_NAME:
        raise ValueError(
            f"{name!r}: the data set already has a class of this name; add it to the members of a "
            "group"
        )
