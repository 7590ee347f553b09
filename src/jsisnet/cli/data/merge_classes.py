"""The command that joins classes of data sets."""

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from jsisnet.categories import UNKNOWN, Categories
from jsisnet.cli.console import display, listed, progress, say
from jsisnet.cli.errors import STOPPED, TERMINATED
from jsisnet.cli.location import LocationOptions, Processes, open_source
from jsisnet.cli.options import File, Flag, Folder
from jsisnet.cli.outputs import refuse_folder_in_maps
from jsisnet.formats.open import Format

if TYPE_CHECKING:
    from jsisnet.datatools.join_classes import Joining


def merge_classes(  # noqa: PLR0913 - the parts of a command line
    *,
    source: Annotated[Format, Parameter(name=("--from", "--format"))] = "coco",
    location: LocationOptions = LocationOptions(),  # noqa: B008 - frozen
    out: Folder,
    by: Literal["supercategory"] | None = None,
    mapping: File | None = None,
    only: Flag = False,
    processes: Processes = None,
) -> int:
    """Write a data set with classes joined, in COCO panoptic format.

    A mapping is a YAML file with the members of each new class; those of "void"
    become void, and classes that it does not name stay as they are:

        vehicle: [car, truck, bus]
        nature: {members: [tree, grass, animal], isthing: false}
        void: [building]

    Stuff of one class becomes one segment of an image, things stay apart, and
    things that become stuff are one segment as well. If the command is stopped or
    killed, the same command goes on. Photos stay where they are.

    For example
        jsisnet data merge-classes --annotations panoptic_val2017.json
            --by supercategory --out merged
        jsisnet data merge-classes --annotations train.json --mapping classes.yaml
            --out merged
        jsisnet data merge-classes --from cityscapes --root gtFine_trainvaltest.zip
            --split val --mapping classes.yaml --only --out merged

    Args:
        source: Format to read.
        location: Where the data set is.
        out: New folder that receives panoptic.json and the folder of its maps.
        by: Join the classes of each supercategory, things apart from stuff.
        mapping: YAML file with the members of each new class.
        only: Let the classes that --mapping does not name become void.
        processes: How many share the work; each holds a few maps. Default: one per core.
    """
    from jsisnet.datatools import convert
    from jsisnet.datatools.join_classes import joined
    from jsisnet.formats.coco import coco_target

    if (by is None) == (mapping is None):
        raise ValueError("expected either --by supercategory or --mapping FILE")
    if only and mapping is None:
        raise ValueError("--only means nothing without --mapping")
    opened_source = open_source(source, location)
    refuse_folder_in_maps(location, out)
    joining = _joining(opened_source.categories, mapping, only=only)
    target = coco_target(out, joining.categories)
    try:
        with progress("maps") as advance:
            convert.convert(
                joined(opened_source, joining),
                target,
                processes=processes or os.cpu_count() or 1,
                on_image=advance,
            )
    except (KeyboardInterrupt, SystemExit) as error:
        say("stopped; the same command goes on with the maps that are left")
        return STOPPED if isinstance(error, KeyboardInterrupt) else TERMINATED
    _show(opened_source.categories, joining)
    display(
        f"{out / target.index} lists {len(opened_source.records):,} maps of "
        f"{len(joining.categories)} classes"
    )
    return 0


def _joining(categories: Categories, mapping: Path | None, *, only: bool) -> "Joining":
    from jsisnet.datatools import join_classes

    if mapping is None:
        return join_classes.by_supercategory(categories)
    values = _read_yaml(mapping)
    try:
        return join_classes.by_groups(categories, join_classes.parse(values), only=only)
    except ValueError as error:
        raise ValueError(f"{mapping}: {error}") from None


def _read_yaml(path: Path) -> Mapping[object, object]:
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        _refuse_names_twice(yaml.compose(text, yaml.SafeLoader))
        values = yaml.safe_load(text)
    except OSError as error:
        raise ValueError(f"{path}: can't be read: {error.strerror or error}") from None
    except RecursionError:
        raise ValueError(f"{path}: is not YAML: nested too deeply") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: is not YAML: {' '.join(str(error).split())}") from None
    except (AttributeError, KeyError):
        raise ValueError(f"{path}: is not YAML: a value does not fit its tag") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path}: expected the members of each new class, by its name")
    return values


def _refuse_names_twice(content: Any) -> None:  # noqa: ANN401 - what YAML consists of
    """Notice names of which YAML would silently keep the last, of classes and in their groups."""
    import yaml

    if isinstance(content, yaml.MappingNode):
        for mapping in (content, *(value for _, value in content.value)):
            if isinstance(mapping, yaml.MappingNode):
                keys = [key.value for key, _ in mapping.value if isinstance(key, yaml.ScalarNode)]
                twice = next((key for key, times in Counter(keys).items() if times > 1), None)
                if twice is not None:
                    raise ValueError(f"{twice!r} is there twice")


def _show(before: Categories, joining: "Joining") -> None:
    for category in joining.categories:
        if category.members:
            kind = "things" if category.isthing else "stuff"
            display(f"{category.name} ({kind}): {', '.join(category.members)}")
    dropped = [
        category.name
        for category, label in zip(before, joining.labels, strict=True)
        if label == UNKNOWN
    ]
    if dropped:
        display(f"void: {listed(dropped)}")
