"""`jsisnet benchmark`: time the engines that can run a model here."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter, validators

from jsisnet.cli.console import display, progress, say, write_json
from jsisnet.cli.options import Device, File, JsonFile, Overrides

if TYPE_CHECKING:
    from jsisnet.inference.engine_comparison import EngineSpeed

Count = Annotated[int | None, Parameter(metavar="NUMBER", validator=validators.Number(gte=1))]
"""A positive number."""


def benchmark(  # noqa: PLR0913 - one parameter per option
    model: Annotated[str, Parameter(name="MODEL")] = "coco",
    *,
    photo: File | None = None,
    rounds: Annotated[int, Parameter(metavar="NUMBER", validator=validators.Number(gte=1))] = 5,
    device: Device = "auto",
    threads: Count = None,
    compiled: Annotated[bool, Parameter(name="--compile", negative=())] = False,
    json: JsonFile | None = None,
    overrides: Overrides = (),
) -> int:
    """Time the engines that can run a model here, compare their maps, and recommend one.

    All engines segment one photo in turn, so that other programs on the machine slow
    down all of them. A map differs in the pixels whose segment is another one than in
    the map of the first engine.

    For example
        jsisnet benchmark
        jsisnet benchmark runs/mine --photo photo.jpg --threads 1

    Args:
        model: Built-in model, model or run folder, or exported network.
        photo: Photo to segment. Default: one of scikit-image's if that is installed, otherwise a
            generated scene.
        rounds: Timings of each engine; the median is shown.
        device: Device of the network: cpu, cuda, cuda:1, mps. Default: a GPU if there is one.
        threads: Threads on a CPU. Default: one per core.
        compiled: Include PyTorch's compiler, which takes minutes to start.
        json: JSON file to write (- for standard output).
        overrides: Settings that override those of the model.
    """
    from jsisnet.inference.engine import EngineOptions
    from jsisnet.inference.engine_comparison import compare_engines, contestants, recommended
    from jsisnet.inference.model_folder import find

    find(model)
    options = EngineOptions(device=device, threads=threads, overrides=overrides)
    image, source = _photo(photo)
    with progress("timing") as advance:
        measured = list(
            compare_engines(
                model,
                image,
                contestants(compiled=compiled),
                options=options,
                rounds=rounds,
                on_part=advance,
            )
        )
    display(_table(measured, f"{model}, {source}"))
    for each in measured:
        if each.reason is not None:
            say(f"{each.contestant.title}: {each.reason}")
    if json is not None:
        write_json({"model": model, "engines": [asdict(each) for each in measured]}, json)
    best = recommended(measured)
    if best is None:
        return 1
    choice = f"--engine {best.contestant.engine}"
    if best.contestant.precision != "float32":
        choice += f" --precision {best.contestant.precision}"
    display(f"Fastest with the same map: {choice}")
    return 0


def _photo(path: Path | None) -> tuple[Any, str]:
    from jsisnet.cli.inputs import sample_photo
    from jsisnet.datatools.scenes.scene import Scene
    from jsisnet.files.photos import read_image

    if path is not None:
        return read_image(path, upright=True), str(path)
    try:
        found = sample_photo("chelsea.png")
    except ValueError:
        return Scene((0, 0, 0), (480, 640)).photo(), "generated scene"
    return read_image(found), found.name


def _table(measured: "list[EngineSpeed]", title: str) -> Any:  # noqa: ANN401 - rich's table
    from jsisnet.cli import tables

    rows = tables.table(title, "device", ">ms", ">CPU ms", ">load s", ">other pixels")
    for each in measured:
        if each.reason is None:
            rows.add_row(
                each.contestant.title,
                each.device,
                f"{each.milliseconds:.0f}",
                f"{each.cpu_milliseconds:.0f}",
                f"{each.load_seconds:.1f}",
                f"{each.difference:.3%}",
            )
    return rows
