"""The command that merges other networks' predictions."""

import os
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter, validators

from jsisnet.cli.console import display, progress
from jsisnet.cli.options import File
from jsisnet.cli.outputs import refuse_to_replace
from jsisnet.formats import coco_results, image_list
from jsisnet.formats.predictions import ArrayValues, PngValues, SemanticFolder
from jsisnet.inference import merge_files
from jsisnet.inference.kirillov import KirillovConfig
from jsisnet.inference.merge_files import Predictions
from jsisnet.inference.rules import MergeConfig


def merge(  # noqa: PLR0913 - the parts of a command line
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
    kirillov: KirillovConfig = KirillovConfig(),  # noqa: B008 - likewise
    processes: Annotated[int | None, Parameter(validator=validators.Number(gte=1))] = None,
) -> None:
    """Merge instances and semantic predictions of other networks into panoptic files.

    By the rules of JSIS-Net, where the likeliest mask owns a pixel, or by those of
    Kirillov et al., where the better score does; docs/merging.md compares them.

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
            for each image: boxes (n, 4), category_ids (n), scores (n), masks (n, m, m).
        semantic: Folder with a file for each image, a PNG of classes or an .npy or .npz array of
            scores (classes, rows, columns); or a COCO results JSON file of stuff regions.
        out: COCO panoptic JSON file to write, with the folder of its PNGs beside it.
        rules: Whose rules; each has its own settings, --merge.* and --kirillov.*.
        categories: COCO file with the categories, if not those of --image-info are meant.
        png_values: Whether PNGs hold ids of categories, or positions in their list from 0 on.
        array_values: Whether arrays hold logits or probabilities.
        void: Values of PNGs without a class. Default: 255, and 0 in place of an id.
        merge: Settings of JSIS-Net's rules; those of the canvas don't count.
        kirillov: Settings of Kirillov's rules.
        processes: How many share the work. Default: one per core.
    """
    pngs = out.with_suffix("")
    if not out.suffix:
        raise ValueError(f"{out}: expected the name of a .json file")
    inputs = [path for path in (image_info, categories, instances, semantic) if path is not None]
    refuse_to_replace(inputs, [out])
    if pngs.exists() and any(path.exists() and pngs.samefile(path) for path in inputs):
        raise ValueError(f"{pngs} is read here, so no PNGs are written to it; expected another out")
    config = merge if rules == "jsisnet" else kirillov
    wanted = image_list.read(image_info, categories)
    predictions = Predictions(
        wanted=wanted,
        instances=instances
        if instances.is_dir()
        else coco_results.read_things(instances, wanted, min_score=config.min_score),
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
    with progress("images") as advance:
        segments = merge_files.merge_files(
            predictions, config, out, processes=processes or os.cpu_count() or 1, on_image=advance
        )
    display(f"{out} has the maps of {len(wanted.images):,} images with {segments:,} segments")
