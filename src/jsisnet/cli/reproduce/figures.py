"""The paper's figures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from jsisnet.cli.console import display, progress
from jsisnet.cli.inputs import Photo, find
from jsisnet.cli.options import File, Overrides
from jsisnet.cli.outputs import expect_picture, refuse_to_replace
from jsisnet.cli.reproduce.scenes import Network, Scenes

_ROWS = 4
"""Generated scenes in Figure 3."""


def figure1(
    image: Annotated[str | None, Parameter(name="IMAGE", show_default=False)] = None,
    /,
    *,
    out: File,
    network: Network = Network(),  # noqa: B008 - frozen
    overrides: Overrides = (),
) -> None:
    """Draw a photo, its panoptic map, and what each branch says by itself: Figure 1.

    For example
        jsisnet reproduce figure1 photo.jpg --out figure1.png
        jsisnet reproduce figure1 --tiny --out figure1.png

    Args:
        image: The photo; with --tiny, a generated scene.
        out: Picture to write, .png or .jpg.
        network: The network, and whether a generated scene takes the place of the photo.
        overrides: Settings that win over the model's own.
    """
    from jsisnet.experiments.figures import figure1 as drawn
    from jsisnet.files.photos import read_image, write_picture

    given = () if image is None else (image,)
    photos = _found(given, network, 1, out)
    if len(photos) != 1:
        raise ValueError(f"{image} stands for {len(photos)} photos; expected one")
    predictor = network.ready(overrides)
    photo = read_image(photos[0].path, upright=True)
    write_picture(drawn(photo, predictor), out)
    display(f"look at {out}")


def figure3(
    *images: Annotated[str, Parameter(name="IMAGE")],
    out: File,
    network: Network = Network(),  # noqa: B008 - frozen
    overrides: Overrides = (),
) -> None:
    """Draw photos with their panoptic maps beside them: Figure 3.

    For example
        jsisnet reproduce figure3 photos --out figure3.jpg
        jsisnet reproduce figure3 a.jpg b.jpg --out figure3.png
        jsisnet reproduce figure3 --tiny --out figure3.png

    Args:
        images: Photos, folders of photos, or patterns; with --tiny, generated scenes.
        out: Picture to write, .png or .jpg.
        network: The network, and whether generated scenes take the place of the photos.
        overrides: Settings that win over the model's own.
    """
    from jsisnet.experiments.figures import figure3 as drawn
    from jsisnet.files.photos import read_image, write_picture

    photos = _found(images, network, _ROWS, out)
    predictor = network.ready(overrides)
    with progress("photos") as advance:
        rows = []
        for done, photo in enumerate(photos, 1):
            rows.append((photo.name, read_image(photo.path, upright=True)))
            advance(done, len(photos))
        picture = drawn(rows, predictor)
    write_picture(picture, out)
    display(f"look at {out}")


def _found(images: Sequence[str], scenes: Scenes, count: int, out: Path) -> Sequence[Photo]:
    """Find the photos to draw, or so many generated scenes."""
    expect_picture(out)
    if scenes.tiny:
        if images:
            raise ValueError(f"{images[0]} and --tiny exclude each other")
        photos = find([str(scenes.drawn().photos)]).photos[:count]
    else:
        found = find(images)
        if found.unmatched:
            raise ValueError(f"{found.unmatched[0]}: no photo found")
        photos = found.photos
    refuse_to_replace([photo.path for photo in photos], [out])
    return photos
