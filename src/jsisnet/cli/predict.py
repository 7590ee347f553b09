"""Commands that segment photos."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from jsisnet.cli.console import display, say
from jsisnet.cli.options import Device, Folder, InstancesFrom, Model, Overrides
from jsisnet.cli.photos import find, packaged

DEMO = ("astronaut.png", "chelsea.png", "coffee.png")
"""Photos that `demo` segments, all of them free."""


def predict(
    *images: Annotated[str, Parameter(name="IMAGE")],
    out: Folder,
    model: Model = "coco",
    instances_from: InstancesFrom = None,
    device: Device = None,
    overlay: bool = True,
    overrides: Overrides = (),
) -> int:
    """Segment photos: a class and an instance for every pixel.

    For each photo DIR receives STEM.png, the map at the photo's own size with
    COCO's panoptic ids as colours, and STEM_overlay.jpg, the map drawn on the
    photo. DIR/predictions.json describes all maps in COCO's panoptic format; it
    is written when the last photo is done. Of photos with one stem the second
    becomes STEM_2, and so on. Photos are turned as their camera says. A photo
    that can't be read is reported, the others go on, and the exit code is 1.

    The settings of the model are options too, such as --merge.canvas original for
    finer edges, or --merge.min-score 0.7.

    For example
        jsisnet predict photo.jpg --out maps
        jsisnet predict photos "more/**/*.jpg" --model runs/mine --out maps

    Args:
        images: Photos, folders of photos, or patterns.
        out: Folder for the results; made if it is missing.
        model: Name of an embedded model, or a model or run folder.
        instances_from: Model that finds the instances in place of the first one, whose semantic
            branch and settings of the merge stay.
        device: Where the network runs: cpu, cuda, cuda:1. Default: a GPU if there is one.
        overlay: Whether to draw the maps on the photos.
        overrides: Settings that win over the model's own.
    """
    from jsisnet.cli.inputs import load
    from jsisnet.cli.segment import segment

    found = find(images)
    for argument in found.unmatched:
        say(f"{argument}: no photo found")
    predictor = load(model, overrides, device, instances_from=instances_from)
    done = segment(found.photos, predictor, out, overlay=overlay)
    if done:
        results = "*_overlay.jpg" if overlay else "*.png"
        display(f"{done} of {len(found.photos)} photos are segmented: look at {out / results}")
    return int(done < len(found.photos) or bool(found.unmatched))


def demo(
    *photos: Annotated[str, Parameter(name="PHOTO")],
    out: Folder = Path("demo"),
    model: Model = "coco",
    overrides: Overrides = (),
) -> int:
    """Segment three free photos, or your own, as `jsisnet predict` does.

    For example
        jsisnet demo
        jsisnet demo holiday.jpg --out holiday

    Args:
        photos: Photos, folders of photos, or patterns. Default: an astronaut, a cat and a coffee
            from the package scikit-image.
        out: Folder for the results; made if it is missing.
        model: Name of an embedded model, or a model or run folder.
        overrides: Settings that win over the model's own.
    """
    chosen = photos or tuple(str(packaged(name)) for name in DEMO)
    return predict(*chosen, out=out, model=model, overrides=overrides)
