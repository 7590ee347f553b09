"""Figures 1, 2 and 3 of the paper."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from jsisnet.cli.console import display, progress
from jsisnet.cli.options import File, Overrides
from jsisnet.cli.outputs import refuse_to_replace, require_image_suffix
from jsisnet.cli.reproduce.scenes import Network, Scenes
from jsisnet.inference.photo_files import Photo, find_photos

_PRESETS = ("coco.yaml", "vistas.yaml")
"""Networks of Figure 2."""

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
    """Reproduce Figure 1: an image, its panoptic map, and the output of each branch.

    For example
        jsisnet reproduce figure1 photo.jpg --out figure1.png
        jsisnet reproduce figure1 --tiny --out figure1.png

    Args:
        image: Image file; with --tiny, a generated scene.
        out: Image to write, .png or .jpg.
        network: Model, or generated scenes.
        overrides: Settings that override those of the model.
    """
    from jsisnet.experiments.figures import figure1 as draw_figure
    from jsisnet.files.photos import write_picture

    given = () if image is None else (image,)
    photos = _photos(given, network, 1, out)
    if len(photos) != 1:
        raise ValueError(f"{image} matches {len(photos)} images; expected one")
    predictor = network.load(overrides)
    photo = photos[0].read()
    write_picture(draw_figure(photo, predictor), out)
    display(f"Wrote {out}")


def figure2(
    *configs: Annotated[str, Parameter(name="CONFIG|MODEL")],
    out: File,
    overrides: Overrides = (),
) -> None:
    """Reproduce Figure 2: the blocks of the network, with the sizes of their tensors.

    The blocks are drawn and printed as text; `jsisnet describe` lists their costs.
    Nothing is computed.

    For example
        jsisnet reproduce figure2 --out figure2.png
        jsisnet reproduce figure2 coco --out figure2.png

    Args:
        configs: YAML files of trainings, built-in models, or folders of models or training runs.
            Default: coco.yaml and vistas.yaml, the paper's networks.
        out: Image to write, .png or .jpg.
        overrides: Settings that override those of each CONFIG.
    """
    from jsisnet.cli.describe import read_architecture
    from jsisnet.experiments.architecture import architecture, draw_architecture, stacked
    from jsisnet.files.photos import write_picture

    require_image_suffix(out)
    refuse_to_replace([Path(name) for name in configs], [out])
    pictures = []
    for name in configs or _PRESETS:
        described = read_architecture(name, overrides, things=None, stuff=None)
        known = described.categories
        found = architecture(described.network, known, described.size)
        counts = f"{len(known.thing_labels)} things and {len(known.stuff_labels)} stuff"
        title = f"{name}: {counts}, from {described.source}"
        pictures.append(draw_architecture(found, title))
        display(title, *found.lines())
    write_picture(stacked(pictures), out)
    display(f"Wrote {out}")


def figure3(
    *images: Annotated[str, Parameter(name="IMAGE")],
    out: File,
    network: Network = Network(),  # noqa: B008 - frozen
    overrides: Overrides = (),
) -> None:
    """Reproduce Figure 3: images beside their panoptic maps.

    For example
        jsisnet reproduce figure3 photos --out figure3.jpg
        jsisnet reproduce figure3 a.jpg b.jpg --out figure3.png
        jsisnet reproduce figure3 --tiny --out figure3.png

    Args:
        images: Images, folders of images, or patterns; with --tiny, generated scenes.
        out: Image to write, .png or .jpg.
        network: Model, or generated scenes.
        overrides: Settings that override those of the model.
    """
    from jsisnet.experiments.figures import figure3 as draw_figure
    from jsisnet.files.photos import write_picture

    photos = _photos(images, network, _ROWS, out)
    predictor = network.load(overrides)
    with progress("reading") as advance:
        rows = []
        for done, photo in enumerate(photos, 1):
            rows.append((photo.name, photo.read()))
            advance(done, len(photos))
        picture = draw_figure(rows, predictor)
    write_picture(picture, out)
    display(f"Wrote {out}")


def _photos(images: Sequence[str], scenes: Scenes, count: int, out: Path) -> Sequence[Photo]:
    """Return the photos to draw, or the first `count` generated scenes."""
    require_image_suffix(out)
    if scenes.tiny:
        if images:
            raise ValueError(f"{images[0]} and --tiny can't be combined")
        photos = find_photos([str(scenes.generated().photos)]).photos[:count]
    else:
        found = find_photos(images)
        if found.problems:
            raise ValueError(found.problems[0])
        photos = found.photos
    refuse_to_replace([photo.file for photo in photos if photo.file is not None], [out])
    return photos
