"""The paper's figures."""

from typing import Annotated

from cyclopts import Parameter

from jsisnet.cli.console import display, progress
from jsisnet.cli.options import Device, File, Model, Overrides
from jsisnet.cli.outputs import refuse_to_replace
from jsisnet.cli.photos import find


def figure1(
    image: Annotated[str, Parameter(name="IMAGE")],
    /,
    *,
    out: File,
    model: Model = "coco",
    device: Device = None,
    overrides: Overrides = (),
) -> None:
    """Draw a photo, its panoptic map, and what each branch says by itself: Figure 1.

    For example
        jsisnet reproduce figure1 photo.jpg --out figure1.png

    Args:
        image: The photo.
        out: Picture to write, .png or .jpg.
        model: Name of an embedded model, or a model or run folder.
        device: Where the network runs: cpu, cuda, cuda:1. Default: a GPU if there is one.
        overrides: Settings that win over the model's own.
    """
    from jsisnet.cli.models import load
    from jsisnet.data.images import read_image
    from jsisnet.experiments.figures import figure1 as drawn
    from jsisnet.formats.pictures import write_picture

    photos = find([image]).photos
    if len(photos) != 1:
        raise ValueError(f"{image} stands for {len(photos)} photos; expected one")
    refuse_to_replace([photos[0].path], [out])
    photo = read_image(photos[0].path, upright=True)
    write_picture(drawn(photo, load(model, overrides, device)), out)
    display(f"look at {out}")


def figure3(
    *images: Annotated[str, Parameter(name="IMAGE")],
    out: File,
    model: Model = "coco",
    device: Device = None,
    overrides: Overrides = (),
) -> None:
    """Draw photos with their panoptic maps beside them: Figure 3.

    For example
        jsisnet reproduce figure3 photos --out figure3.jpg
        jsisnet reproduce figure3 a.jpg b.jpg --out figure3.png

    Args:
        images: Photos, folders of photos, or patterns.
        out: Picture to write, .png or .jpg.
        model: Name of an embedded model, or a model or run folder.
        device: Where the network runs: cpu, cuda, cuda:1. Default: a GPU if there is one.
        overrides: Settings that win over the model's own.
    """
    from jsisnet.cli.models import load
    from jsisnet.data.images import read_image
    from jsisnet.experiments.figures import figure3 as drawn
    from jsisnet.formats.pictures import write_picture

    found = find(images)
    if found.unmatched:
        raise ValueError(f"{found.unmatched[0]}: no photo found")
    refuse_to_replace([photo.path for photo in found.photos], [out])
    predictor = load(model, overrides, device)
    with progress("photos") as advance:
        rows = []
        for done, photo in enumerate(found.photos, 1):
            rows.append((photo.name, read_image(photo.path, upright=True)))
            advance(done, len(found.photos))
        picture = drawn(rows, predictor)
    write_picture(picture, out)
    display(f"look at {out}")
