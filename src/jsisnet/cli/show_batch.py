"""Command that draws what a training step sees."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from jsisnet.cli.console import display, progress
from jsisnet.cli.options import File, Overrides
from jsisnet.cli.outputs import expect_picture, refuse_file_in, refuse_to_replace

_MAX_PIXELS = 30_000_000
"""Of the inputs on one page."""


def show_batch(
    config: Annotated[Path, Parameter(name="CONFIG")],
    /,
    *,
    step: int = 0,
    count: int | None = None,
    out: File | None = None,
    overrides: Overrides = (),
) -> None:
    """Draw what the network sees at a step of a training, with the targets.

    Each photo is shown as the network gets it, after augmentation. Beside it are
    the classes of its pixels, void hatched, and its objects: masks, boxes, names,
    and dashed boxes around crowds. Below stands the photo's id, its position in
    the stream of all photos, and what its data set does not label.

    The settings of CONFIG are options too: --train.seed 1 shows another order,
    --augment.min-scale 0.3 --augment.max-scale 3 what stronger augmentation does.

    For example
        jsisnet show-batch overfit.yaml --root coco
        jsisnet show-batch overfit.yaml --root coco --step 100 --count 4
        jsisnet show-batch overfit.yaml --root coco --augment.hue 0.2

    Args:
        config: YAML file with the settings of a training.
        step: Number of steps done before.
        count: Number of photos. Default: those of the step.
        out: Picture to write, .png or .jpg. Default: the stem of CONFIG, _batch_ and step, .png.
        overrides: Settings that win over those of CONFIG.
    """
    from jsisnet.data.dataset import Sources
    from jsisnet.data.stream import Stream
    from jsisnet.files.photos import write_picture
    from jsisnet.training.batch_picture import page
    from jsisnet.training.config import read_config

    settings = read_config(config, overrides)
    sources, batch = settings.sources(), settings.train.batch_size
    positions = range(step * batch, step * batch + (batch if count is None else count))
    _check(positions, settings.augment.size)
    path = Path(f"{config.stem}_batch_{step}.png") if out is None else out
    for data in sources:
        for read in data.location().paths:
            for folder in (read, read.with_suffix("")):
                refuse_file_in(folder, path)
    refuse_to_replace([config], [path])
    expect_picture(path)
    stream = Stream(Sources(sources), settings.augment, seed=settings.train.seed)
    with progress("photos") as advance:
        picture = page(stream, positions, on_photo=advance)
    write_picture(picture, path)
    display(f"look at {path}")


def _check(positions: range, size: tuple[int, int]) -> None:
    if positions.start < 0 or not positions:
        raise ValueError("expected a --step of 0 or more and a --count of 1 or more")
    most = max(1, _MAX_PIXELS // (size[0] * size[1]))
    if len(positions) > most:
        raise ValueError(
            f"{len(positions)} photos are too many for a picture; expected --count {most} or less"
        )
