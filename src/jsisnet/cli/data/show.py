"""`jsisnet data show`: draw images of a data set beside their ground truth."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from difflib import get_close_matches
from random import Random
from typing import Annotated

from cyclopts import Parameter, validators

from jsisnet.cli.console import display, progress, say
from jsisnet.cli.location import LocationOptions, SkippedImages, open_skipping
from jsisnet.cli.options import File, Flag
from jsisnet.cli.outputs import refuse_to_replace_data, require_image_suffix
from jsisnet.files.processes import available_cores
from jsisnet.formats.open import Format
from jsisnet.formats.records import Record, Source

_MAX_IMAGES = 60
"""Limit for one picture."""


def show(  # noqa: PLR0913 - one parameter per option
    *,
    kind: Annotated[Format, Parameter(name="--format")] = "coco",
    location: LocationOptions = LocationOptions(),  # noqa: B008 - frozen
    recount_areas: Flag = False,
    count: Annotated[int, Parameter(validator=validators.Number(gte=1))] = 9,
    first: Flag = False,
    seed: Annotated[int | None, Parameter(name="--random", metavar="SEED")] = None,
    image: Annotated[
        tuple[str, ...], Parameter(metavar="ID", negative=(), show_default=False)
    ] = (),
    with_class: Annotated[str | None, Parameter(name="--class", metavar="NAME")] = None,
    overlay: Flag = False,
    out: File,
) -> int:
    """Draw images of a data set beside their ground truth.

    Void is hatched. The caption gives the image's id, its file name and its largest
    classes. Without --images, only the maps are drawn.

    For example
        jsisnet data show --annotations panoptic_val2017.json --images val2017
            --out look.png
        jsisnet data show --annotations panoptic_val2017.json --images val2017
            --class zebra --count 4 --out zebras.png
        jsisnet data show --format cityscapes --root gtFine_trainvaltest.zip
            --split val --random 7 --out look.png

    Args:
        kind: Format of the data set.
        location: Paths of the data set.
        recount_areas: Accept a JSON file whose areas differ from its PNGs.
        count: Number of images, by default spread evenly over the data set.
        first: Draw the first images.
        seed: Draw random images, with this seed.
        image: Draw the image with this id or file name; can be given several times.
        with_class: Draw images with this class: the first ones, or random ones with --random.
        overlay: Draw the ground truth on the images instead of beside them.
        out: Image to write, .png or .jpg.
    """
    from jsisnet.files.photos import write_picture
    from jsisnet.visualize.truth import contact_sheet

    if sum((first, seed is not None, bool(image))) > 1 or (image and with_class is not None):
        raise ValueError(
            "--first, --random and --image can't be combined, nor can --image and --class"
        )
    if max(count, len(image)) > _MAX_IMAGES:
        raise ValueError(f"at most {_MAX_IMAGES} images fit into one picture")
    source = open_skipping(kind, location, recount_areas=recount_areas)
    refuse_to_replace_data(location, [out])
    require_image_suffix(out)
    skipped = SkippedImages()
    on_error = skipped.add if location.keep_going else None
    if not source.records:
        raise ValueError("the data set has no images")
    if image:
        records = [_found(source, name) for name in image]
    elif with_class is not None:
        shuffled = replace(source, records=tuple(_shuffled(source.records, seed)))
        records = _with_class(shuffled, with_class, count, on_error)
    elif seed is not None or first:
        records = list(_shuffled(source.records, seed)[:count])
    else:
        records = _spread(source.records, count)
    if on_error is None:
        _refuse_missing_photos(records)
    with progress("drawing") as advance:
        picture = contact_sheet(
            records,
            source.categories,
            overlay=overlay,
            on_image=advance,
            on_error=on_error,
            on_warning=say,
        )
    write_picture(picture, out)
    display(f"Wrote {out}")
    return skipped.report()


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
    hint = f"; did you mean {alike[0]!r}?" if alike else ""
    raise ValueError(f"the data set has no class {name!r}{hint}")


def _shuffled(records: Sequence[Record], seed: int | None) -> Sequence[Record]:
    return records if seed is None else Random(seed).sample(records, len(records))


def _spread(records: Sequence[Record], count: int) -> list[Record]:
    """Return evenly spaced records."""
    few, many = min(count, len(records)), len(records)
    return [records[i * many // few] for i in range(few)]


def _with_class(
    source: Source,
    name: str,
    count: int,
    on_error: Callable[[Record, ValueError], None] | None,
) -> list[Record]:
    """Return the first records whose maps have the class of a name."""
    from jsisnet.datatools.statistics import map_outcomes

    label, records = _label(source, name), source.records
    found: list[Record] = []
    read = map_outcomes(records, processes=available_cores())
    # Closing the generator stops the workers as soon as enough images are found.
    with closing(read), progress("searching") as advance:
        for done, (record, held) in enumerate(zip(records, read, strict=True), 1):
            if isinstance(held, str):
                if on_error is None:
                    raise ValueError(held)
                on_error(record, ValueError(held))
            elif label in held.labels:
                found.append(record)
                if len(found) == count:
                    break
            advance(done, len(records))
    if not found:
        raise ValueError(f"no image has the class {name!r}")
    return found


def _refuse_missing_photos(records: Sequence[Record]) -> None:
    named = [record.image for record in records if record.image is not None]
    missing = [path for path in named if not path.is_file()]
    if missing:
        what = "image is" if len(named) == 1 else "images are"
        raise ValueError(
            f"{len(missing)} of {len(named)} {what} missing, such as {missing[0]}; check "
            "--images, or omit it to draw only the maps"
        )
