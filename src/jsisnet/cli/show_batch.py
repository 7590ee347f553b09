"""`jsisnet show-batch`: draw the batch of a training step."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from jsisnet.cli.console import display, progress
from jsisnet.cli.options import File, Overrides
from jsisnet.cli.outputs import refuse_file_in, refuse_to_replace, require_image_suffix

_MAX_PIXELS = 30_000_000
"""Limit for all inputs in one picture together."""


def show_batch(
    config: Annotated[Path, Parameter(name="CONFIG")],
    /,
    *,
    step: int = 0,
    count: int | None = None,
    out: File | None = None,
    overrides: Overrides = (),
) -> None:
    """Draw the batch of a training step: augmented images and their targets.

    Each image is shown after augmentation, beside the classes of its pixels (void
    is hatched) and its objects: masks, boxes, names, and dashed boxes around
    crowds. The caption gives the image's id, its position in the stream of training
    images, and the classes that its data set does not label.

    The settings of CONFIG are options too: --train.seed 1 for another order,
    --augment.min-scale 0.3 --augment.max-scale 3 for stronger augmentation.

    For example
        jsisnet show-batch overfit.yaml --root coco
        jsisnet show-batch overfit.yaml --root coco --step 100 --count 4
        jsisnet show-batch overfit.yaml --root coco --augment.hue 0.2

    Args:
        config: YAML file with the settings of a training.
        step: Step to show, from 0.
        count: Number of images. Default: the batch size.
        out: Image to write, .png or .jpg. Default: CONFIG_batch_STEP.png.
        overrides: Settings that override those of CONFIG.
    """
    from jsisnet.cli.inputs import require_data
    from jsisnet.data.sources import Sources
    from jsisnet.data.stream import Stream
    from jsisnet.files.photos import write_picture
    from jsisnet.training.batch_picture import page
    from jsisnet.training.config import read_config

    settings = read_config(config, overrides)
    require_data(settings)
    sources, batch = settings.sources(), settings.train.batch_size
    positions = range(step * batch, step * batch + (batch if count is None else count))
    _check(positions, settings.augment.size)
    path = Path(f"{config.stem}_batch_{step}.png") if out is None else out
    for data in sources:
        for read in data.location().paths:
            for folder in (read, read.with_suffix("")):
                refuse_file_in(folder, path)
    refuse_to_replace([config], [path])
    require_image_suffix(path)
    stream = Stream(Sources(sources), settings.augment, seed=settings.train.seed)
    with progress("drawing") as advance:
        picture = page(stream, positions, on_photo=advance)
    write_picture(picture, path)
    display(f"Wrote {path}")


def _check(positions: range, size: tuple[int, int]) -> None:
    if positions.start < 0 or not positions:
        raise ValueError("--step must be at least 0 and --count at least 1")
    most = max(1, _MAX_PIXELS // (size[0] * size[1]))
    if len(positions) > most:
        raise ValueError(
            f"{len(positions)} images are too many for one picture; use --count {most} or less"
        )
