"""`jsisnet tune`: choose the settings of a model's merge on annotated photos."""

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter, validators

from jsisnet.cli.console import display, join_names, progress, write_json
from jsisnet.cli.location import LocationOptions
from jsisnet.cli.options import Flag, Folder, JsonFile, RunOptions
from jsisnet.cli.outputs import refuse_inputs_in, refuse_to_replace
from jsisnet.files.one_line import one_line
from jsisnet.formats.open import Format

if TYPE_CHECKING:
    from jsisnet.inference.raw_outputs import RawOutputs
    from jsisnet.inference.tuning import Tuning

TUNING = "tuning.json"
"""Name of the report in the folder of a tuned model."""

_YAML = (".yaml", ".yml")


def tune(  # noqa: PLR0913 - one parameter per option
    model: Annotated[str, Parameter(name="MODEL")],
    /,
    *,
    kind: Annotated[Format | None, Parameter(name="--format")] = None,
    location: LocationOptions = LocationOptions(),  # noqa: B008 - frozen
    out: Annotated[Path | None, Parameter(metavar="DIR|FILE")] = None,
    raw: Folder | None = None,
    folds: Annotated[int, Parameter(validator=validators.Number(gte=3))] = 5,
    min_examples: Annotated[int, Parameter(validator=validators.Number(gte=1))] = 10,
    json: JsonFile | None = None,
    tta: Flag = False,
    recount_areas: Flag = False,
    run: RunOptions = RunOptions(),  # noqa: B008 - frozen
) -> None:
    """Choose the settings of a model's merge on annotated photos, for the best PQ.

    The network runs once; then one setting after another is tried on its outputs:
    the minimum score of things, the overlap of their masks, the least area and
    probability of stuff, and the minimum score of each thing class with enough
    examples. A setting is changed only if that helps on photos left out of the
    choice, too. Classes with few examples don't count in the choice. The last
    column is the quality to expect of other photos: settings for each part of the
    photos are chosen on the others.

    Take photos that the network was not trained on, and judge the result on other
    ones: PQ on the photos that settings were chosen on flatters.

    For example
        jsisnet tune runs/mine --images val --annotations val.json --out tuned
        jsisnet tune coco --images val2017 --annotations panoptic_val2017.json
          --raw outputs --out merge.yaml
        jsisnet evaluate --model tuned --images test --annotations test.json

    Args:
        model: Built-in model (coco, street), the folder of a model or training run, or user/model
            on a hub.
        kind: Format of the data set. Default: vistas if --annotations is a folder, otherwise coco.
        location: Where the data set is.
        out: Folder for a copy of the model with the chosen settings, and tuning.json; or a .yaml
            file for the settings alone. Default: print them only.
        raw: Folder that keeps the network's outputs, about 1 MB for each photo, so that the same
            command resumes or starts with them; `jsisnet merge` reads them, too.
        folds: Parts of the photos, at least 3, each of which is left out once.
        min_examples: True segments from which on a class counts in the choice, and a thing class
            gets a minimum score of its own.
        json: JSON file to write (- for standard output): settings, gains, and the photos.
        tta: Choose settings for predictions with --tta: each photo is segmented in six views.
        recount_areas: Accept annotations whose areas differ from their PNGs.
        run: How the network runs.
    """
    from jsisnet.cli.inputs import load_model, open_for_model
    from jsisnet.inference import raw_outputs, tuning

    _check_outputs(model, out, json, location)
    config = tuning.TuneConfig(folds=folds, min_examples=min_examples)
    predictor = load_model(model, (), run, tta=tta)
    dataset = open_for_model(predictor, kind, location, recount_areas=recount_areas)
    with ExitStack() as stack:
        folder = raw or Path(stack.enter_context(TemporaryDirectory(prefix="jsisnet-tune-")))
        with progress("segmenting") as advance:
            outputs = raw_outputs.collect_outputs(predictor, dataset, folder, on_image=advance)
        with progress("trying settings") as advance:
            tuned = tuning.tune(outputs, config, on_step=advance)
    report = _report(tuned, outputs)
    _print(tuned, report)
    if json is not None:
        write_json(report, json)
    if out is not None:
        _write(model, out, tuned, report)


def _check_outputs(
    model: str, out: Path | None, json: Path | None, location: LocationOptions
) -> None:
    """Refuse outputs that would replace an input or foreign files, before the work."""
    from jsisnet.files.atomic import holds_files
    from jsisnet.inference.model_folder import find

    source = find(model)
    isfile = out is not None and out.suffix in _YAML
    files = [path for path in (json, out if isfile else None) if path is not None]
    refuse_to_replace(location.paths, files)
    if out is None or isfile:
        return
    if source.is_file():
        raise ValueError(
            f"{source}: the settings of an exported network are part of it; give --out FILE.yaml"
        )
    if out.is_file():
        raise ValueError(f"{out} is a file; expected a new folder, or a name that ends in .yaml")
    refuse_inputs_in(out, [source, *location.paths])
    if out.is_dir() and holds_files(out) and not (out / TUNING).is_file():
        raise ValueError(f"{out} is not empty; expected a new folder, or that of an earlier tuning")


def _report(tuned: "Tuning", outputs: "RawOutputs") -> dict[str, Any]:
    """Return all that was found as plain values; qualities are in percent."""
    from jsisnet.evaluation import panoptic_quality
    from jsisnet.settings import plain

    categories = outputs.predictor.categories
    qualities = {"before": tuned.before, "after": tuned.after, "left_out": tuned.left_out}
    return {
        "settings": {
            "network": {"detection": {"min_score": tuned.config.lowest_score}},
            "merge": plain(tuned.config),
        },
        "changes": [
            {**asdict(each), "gain": 100 * each.gain, "gain_left_out": 100 * each.gain_left_out}
            for each in tuned.changes
        ],
        "too_rare": list(tuned.too_rare),
        **{
            name: {
                group: quality[group]["pq"]  # type: ignore[index]
                for quality in [panoptic_quality.summary(sums, categories)]
                for group in ("all", "things", "stuff")
            }
            for name, sums in qualities.items()
        },
        "tta": outputs.predictor.tta,
        "annotations": outputs.dataset.path.name,
        "photos": [outputs.image_id(number) for number in range(len(outputs))],
    }


def _print(tuned: "Tuning", report: dict[str, Any]) -> None:
    from jsisnet.cli.tables import table

    changes = table("setting", ">before", ">after", ">gain in PQ", ">on photos left out")
    for each in report["changes"]:
        changes.add_row(
            each["name"],
            f"{each['before']:g}",
            f"{each['after']:g}",
            f"{each['gain']:+.2f}",
            f"{each['gain_left_out']:+.2f}",
        )
    quality = table("PQ", ">before", ">after", ">on photos left out")
    for group in ("all", "things", "stuff"):
        values = (report[name][group] for name in ("before", "after", "left_out"))
        quality.add_row(group.capitalize(), *map(_figure, values))
    if tuned.changes:
        display(changes)
    else:
        display("No other setting helps on photos left out; all stay as they are")
    display(quality)
    if tuned.too_rare:
        display(f"classes with too few examples to count: {join_names(tuned.too_rare)}")
    display(f"chosen on {len(report['photos']):,} photos of {report['annotations']}")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _write(model: str, out: Path, tuned: "Tuning", report: dict[str, Any]) -> None:
    from jsisnet.inference.model_folder import copy_with, find

    if out.suffix not in _YAML:
        # First, as it marks the folder as that of a tuning, which an interrupted one may replace.
        write_json(report, out / TUNING)
        copy_with(find(model), out, tuned.config)
        display(f"Wrote {out}: the model with these settings")
        return
    import yaml

    from jsisnet.files.atomic import replacing

    header = (
        f"# Chosen on {len(report['photos'])} photos of {one_line(report['annotations'])} for "
        f"{one_line(model)}: PQ {_figure(report['after']['all'])}, before "
        f"{_figure(report['before']['all'])}; {_figure(report['left_out']['all'])} on photos left "
        "out\n"
    )
    with replacing(out) as temporary:
        temporary.write_text(header + yaml.safe_dump(report["settings"]), encoding="utf-8")
    display(f"Wrote {out}")
