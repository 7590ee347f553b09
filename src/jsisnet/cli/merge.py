"""`jsisnet merge`: merge predictions of other networks into panoptic maps."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter, validators

from jsisnet.cli.console import display, progress
from jsisnet.cli.options import File
from jsisnet.cli.outputs import refuse_to_replace
from jsisnet.files.processes import available_cores
from jsisnet.formats import coco_results, image_list
from jsisnet.formats.predictions import ArrayValues, PngValues, SemanticFolder
from jsisnet.inference import merge_files
from jsisnet.inference.kirillov import KirillovConfig
from jsisnet.inference.merge_files import Predictions
from jsisnet.inference.rules import MergeConfig


def merge(  # noqa: PLR0913 - one parameter per option
    *,
    image_info: File,
    instances: Annotated[Path, Parameter(metavar="FILE|DIR")],
    semantic: Annotated[Path, Parameter(metavar="FILE|DIR")],
    out: File,
    rules: Literal["jsisnet", "kirillov"] = "jsisnet",
    categories: File | None = None,
    png_values: PngValues = "ids",
    array_values: ArrayValues = "logits",
    void: Annotated[tuple[int, ...] | None, Parameter(metavar="VALUE", negative=())] = None,
    merge: MergeConfig = MergeConfig(),  # noqa: B008 - frozen
    kirillov: KirillovConfig = KirillovConfig(),  # noqa: B008 - frozen
    processes: Annotated[
        int | None, Parameter(validator=validators.Number(gte=1, lte=1024))
    ] = None,
) -> None:
    """Merge instance and semantic predictions of other networks into panoptic maps.

    With the rules of JSIS-Net, the instance with the highest mask probability gets
    a pixel; with those of Kirillov et al., the one with the highest score.
    docs/how_to/merge.md compares them.

    For example
        jsisnet merge --image-info image_info_test-dev2017.json
          --instances detections.json --semantic stuff_pngs --out merged.json
        jsisnet merge --image-info val.json --instances detections.json
          --semantic stuff.json --rules kirillov --out merged.json
        jsisnet merge --image-info val.json --instances boxes_npz
          --semantic logits_npz --out merged.json

    Args:
        image_info: COCO file that lists the images, such as panoptic_val2017.json.
        instances: COCO results JSON file of instance segmentation, or a folder with an .npz file
            per image: boxes (n, 4), category_ids (n), scores (n), masks (n, m, m).
        semantic: Folder with a file per image, a PNG of classes or an .npy or .npz array of
            scores (classes, rows, columns); or a COCO results JSON file of stuff regions.
        out: COCO panoptic JSON file to write; a folder of PNGs goes next to it.
        rules: Rules of the merge; their settings are --merge.* and --kirillov.*.
        categories: COCO file with the categories. Default: those of --image-info.
        png_values: Whether pixels of PNGs are category ids or positions in the list of categories,
            from 0.
        array_values: Whether arrays hold logits or probabilities.
        void: Pixel values that mean void. Default: 255, and for ids also 0.
        merge: Settings of the rules of JSIS-Net; the canvas has no effect here.
        kirillov: Settings of the rules of Kirillov et al.
        processes: Number of worker processes. Default: one per core.
    """
    pngs = out.with_suffix("")
    if not out.suffix:
        raise ValueError(f"{out}: --out must be the name of a .json file")
    inputs = [path for path in (image_info, categories, instances, semantic) if path is not None]
    refuse_to_replace(inputs, [out])
    if pngs.exists() and any(path.exists() and pngs.samefile(path) for path in inputs):
        raise ValueError(
            f"{pngs} is an input, so the PNGs can't be written to it; choose another --out"
        )
    config = merge if rules == "jsisnet" else kirillov
    wanted = image_list.read(image_info, categories)
    merge.min_scores(wanted.categories)  # unknown classes are refused at once
    lowest = merge.lowest_score if rules == "jsisnet" else kirillov.min_score
    predictions = Predictions(
        wanted=wanted,
        instances=instances
        if instances.is_dir()
        else coco_results.read_things(instances, wanted, min_score=lowest),
        semantic=SemanticFolder(
            folder=semantic,
            categories=wanted.categories,
            png_values=png_values,
            array_values=array_values,
            void=void,
        )
        if semantic.is_dir()
        else coco_results.read_stuff(semantic, wanted),
    )
    with progress("merging") as advance:
        segments = merge_files.merge_files(
            predictions, config, out, processes=processes or available_cores(), on_image=advance
        )
    display(f"Wrote {out}: {len(wanted.images):,} images with {segments:,} segments")
