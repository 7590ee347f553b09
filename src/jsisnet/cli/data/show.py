"""Command that draws some images of a data set with their truth."""

import os
from collections.abc import Sequence
from contextlib import closing
from difflib import get_close_matches
from random import Random
from typing import Annotated

from cyclopts import Parameter, validators

from jsisnet.cli.console import display, progress
from jsisnet.cli.location import LocationOptions, open_source
from jsisnet.cli.options import File, Flag
from jsisnet.cli.outputs import expect_picture, refuse_to_replace_data
from jsisnet.formats.open import Format
from jsisnet.formats.records import Record, Source

_MOST = 60
"""Images on one page."""


def show(  # noqa: PLR0913 - each is an option
    *,
    kind: Annotated[Format, Parameter(name="--format")] = "coco",
    location: LocationOptions = LocationOptions(),  # noqa: B008 - frozen
    count: Annotated[int, Parameter(validator=validators.Number(gte=1))] = 9,
    first: Flag = False,
    seed: Annotated[int | None, Parameter(name="--random", metavar="SEED")] = None,
    image: Annotated[
        tuple[str, ...], Parameter(metavar="ID", negative=(), show_default=False)
    ] = (),
    with_class: Annotated[str | None, Parameter(name="--class", metavar="NAME")] = None,
    overlay: Flag = False,
    out: File,
) -> None:
    """Draw some images of a data set, each beside its truth.

    Void is hatched. Below stand an image's id, its name and its largest classes.
    Without --images, the maps are drawn alone.

    For example
        jsisnet data show --annotations panoptic_val2017.json --images val2017
            --out look.png
        jsisnet data show --annotations panoptic_val2017.json --images val2017
            --class zebra --count 4 --out zebras.png
        jsisnet data show --format cityscapes --root gtFine_trainvaltest.zip
            --split val --random 7 --out look.png

    Args:
        kind: Format of the data set.
        location: Where the data set is.
        count: Number of images, spread evenly over the data set if nothing else is said.
        first: Take the first ones.
        seed: Take those that this number chooses.
        image: Take the image of this id or name; can be given several times.
        with_class: Take only images that have this class, the first ones unless --random is given.
        overlay: Draw the truth over the photos, without those beside it.
        out: Picture to write, .png or .jpg.
    """
    from jsisnet.files.photos import write_picture
    from jsisnet.visualize.truth import page

    if sum((first, seed is not None, bool(image))) > 1 or (image and with_class is not None):
        raise ValueError("expected one of --first, --random and --image, and no --class with that")
    if max(count, len(image)) > _MOST:
        raise ValueError(f"a picture of more than {_MOST} images is too large; expected fewer")
    source = open_source(kind, location)
    refuse_to_replace_data(location, [out])
    expect_picture(out)
    if not source.records:
        raise ValueError("the data set has no image")
    if image:
        records = [_found(source, name) for name in image]
    elif with_class is not None:
        label = _label(source, with_class)
        records = _having(label, _shuffled(source.records, seed), count)
        if not records:
            raise ValueError(f"no image has the class {with_class!r}")
    elif seed is not None or first:
        records = list(_shuffled(source.records, seed)[:count])
    else:
        records = _spread(source.records, count)
    _refuse_missing_photos(records)
    with progress("images") as advance:
        picture = page(records, source.categories, overlay=overlay, on_image=advance)
    write_picture(picture, out)
    display(f"look at {out}")


def _found(source: Source, name: str) -> Record:
    for record in source.records:
        if name in (str(record.image_id), record.name):
            return record
    raise ValueError(f"no image has the id or name {name!r}")


def _label(source: Source, name: str) -> int:
    names = [category.name for category in source.categories]
    if name in names:
        return names.index(name)
    alike = get_close_matches(name, names, 1)
    hint = f"; the nearest is {alike[0]!r}" if alike else ""
    raise ValueError(f"the data set has no class {name!r}{hint}")


def _shuffled(records: Sequence[Record], seed: int | None) -> Sequence[Record]:
    return records if seed is None else Random(seed).sample(records, len(records))


def _spread(records: Sequence[Record], count: int) -> list[Record]:
    """Choose images that lie equally far apart."""
    few, many = min(count, len(records)), len(records)
    return [records[i * many // few] for i in range(few)]


def _having(label: int, records: Sequence[Record], count: int) -> list[Record]:
    """Choose the first images that have a class."""
    from jsisnet.datatools.statistics import contents

    found: list[Record] = []
    read = contents(records, processes=os.cpu_count() or 1)
    # Closed at once, so that nobody goes on with what is not needed.
    with closing(read), progress("maps") as advance:
        for done, (record, held) in enumerate(zip(records, read, strict=True), 1):
            if label in held.labels:
                found.append(record)
                if len(found) == count:
                    break
            advance(done, len(records))
    return found


def _refuse_missing_photos(records: Sequence[Record]) -> None:
    named = [record.image for record in records if record.image is not None]
    missing = [path for path in named if not path.is_file()]
    if missing:
        what = "photo is" if len(missing) == 1 else "photos are"
        raise ValueError(
            f"{len(missing)} of {len(named)} {what} missing, such as {missing[0]}; expected "
            "another --images, or none to draw the maps alone"
        )
