"""The strict rule for YAML that users give: no key twice, no objects, and bounded aliases."""

from collections.abc import Iterator
from typing import Final

import yaml

MOST_BYTES: Final = 2**18
"""Size limit of a file; settings and names of classes take a few kilobytes."""

_MOST_VALUES, _MOST_LEVELS = 100_000, 50
"""Values and levels of nesting, with those that aliases repeat."""

_LONGEST_NUMBER = 4000
"""Characters of a value that is no string; Python refuses longer integers in messages."""

_LONGEST_MESSAGE = 200

_KNOWN_TAGS = {*yaml.SafeLoader.yaml_constructors, "tag:yaml.org,2002:merge"}


def parse(content: bytes) -> object:
    """Parse a YAML document.

    Raises:
        ValueError: If it breaks the rule or is no YAML. The message gives the place, but not the
            file.
    """
    if len(content) > MOST_BYTES:
        raise ValueError(f"has more than {MOST_BYTES // 2**10} KB; expected a short YAML file")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"not a text file: {error}; save the file as UTF-8") from None
    loader = None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _measure(node, {})
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise ValueError(f"invalid YAML: {_worded(error)[:_LONGEST_MESSAGE]}") from None
    except RecursionError:
        raise ValueError("invalid YAML: nested too deeply") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        raise ValueError("invalid YAML: a value does not match its tag") from None
    finally:
        if loader is not None:
            loader.dispose()


class _Refusal(yaml.MarkedYAMLError):
    """What is YAML, but breaks the rule."""

    def __init__(self, node: yaml.Node, problem: str) -> None:
        super().__init__(problem=problem, problem_mark=node.start_mark)


def _measure(node: yaml.Node, known: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
    """Check a node, and return how many values it stands for, and on how many levels.

    Args:
        node: The node; aliases are the same node in several places.
        known: What each node was found to have; ``None`` while it is looked into.
    """
    if id(node) in known:
        found = known[id(node)]
        if found is None:
            raise _Refusal(node, "a value that contains itself")
        return found
    known[id(node)] = None
    _check(node)
    inner = [_measure(each, known) for each in _parts(node)]
    values = 1 + sum(count for count, _ in inner)
    levels = 1 + max((level for _, level in inner), default=0)
    if values > _MOST_VALUES:
        raise _Refusal(node, f"stands for more than {_MOST_VALUES:,} values")
    if levels > _MOST_LEVELS:
        raise _Refusal(node, "nested too deeply")
    known[id(node)] = values, levels
    return values, levels


def _parts(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def _check(node: yaml.Node) -> None:
    if node.tag not in _KNOWN_TAGS:
        raise _Refusal(node, f"the tag {node.tag[:80]}; expected plain values")
    if isinstance(node, yaml.MappingNode):
        keys: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in keys:
                    raise _Refusal(key, f"duplicate key {key.value[:80]!r}")
                keys.add((key.tag, key.value))
    elif isinstance(node, yaml.ScalarNode):
        isstring = node.tag == "tag:yaml.org,2002:str"
        if not isstring and len(node.value) > _LONGEST_NUMBER:
            raise _Refusal(node, f"a number of more than {_LONGEST_NUMBER:,} characters")


def _worded(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return " ".join(str(error).split())
