"""`jsisnet export`: write a network as an ONNX file."""

from typing import Annotated

from cyclopts import Parameter

from jsisnet.cli.console import display, say
from jsisnet.cli.options import File, Flag, Overrides


def export(
    model: Annotated[str, Parameter(name="MODEL")],
    /,
    *,
    out: File | None = None,
    half: Flag = False,
    overrides: Overrides = (),
) -> None:
    """Write a network as an ONNX file, which predicts without PyTorch.

    The file takes 8-bit RGB images of the network's size, in batches of any size,
    and holds classes and settings. It is written only if it predicts the same as
    the network on pictures; both take about half a minute. Beside model.json, it is
    what `jsisnet predict` runs.

    The settings of the model are options too, such as --size 512 512.

    For example
        jsisnet export runs/street
        jsisnet export runs/street --half --out street.onnx
        jsisnet export coco --out coco.onnx --size 512 512

    Args:
        model: Built-in model, or the folder of a model or training run.
        out: File to write. Default: model.onnx in the folder.
        half: Store the weights in half precision: half the size, and slightly other results.
        overrides: Settings that override those of the model.
    """
    from jsisnet.inference.model_folder import EXPORTED, ONNX, embedded_names, find, weights_digest

    folder = find(model)
    if out is None and (overrides or model in embedded_names()):
        what = "a built-in model" if not overrides else "other settings than the model's"
        raise ValueError(f"give --out FILE.onnx: {EXPORTED} of the folder is not for {what}")

    path = folder / EXPORTED if out is None else out
    if path.suffix.lower() != ONNX:
        raise ValueError(f"{path}: --out must end in {ONNX}")

    from jsisnet.model.export import export
    from jsisnet.model.saved_model import read

    weights = weights_digest(folder)
    saved = read(folder, overrides)
    if weights_digest(folder) != weights:
        raise ValueError(f"{folder}: a training replaced its model just now; run the command again")
    path.parent.mkdir(parents=True, exist_ok=True)  # fail before the work rather than after it
    say("exporting, and comparing the file's predictions with the network's")
    export(saved, path, weights=weights, half=half)
    display(f"Wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")
