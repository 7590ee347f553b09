"""The forms of an answer: JSON, a COCO zip, an overlay and a labelme file."""

import base64
import io
import json
import zipfile
from collections.abc import Mapping

import numpy as np
from PIL import Image

from jsisnet.files.png import encode_ids
from jsisnet.inference.result import Result
from jsisnet.serve.jobs import Answer, Masks, Task
from jsisnet.visualize.palette import segment_colors

JSON, ZIP, PNG = "application/json", "application/zip", "image/png"

_LEVEL = 1
"""Compression of overlays: twice as fast as Pillow's default, and a little larger."""


def answer(result: Result, task: Task, seconds: float) -> Answer:
    """Encode a result in the form that the client asked for.

    Args:
        result: The result.
        task: What was asked for.
        seconds: Time that the segmentation took.
    """
    match task.wishes.form:
        case "coco":
            media_type, body = ZIP, _coco(result)
        case "overlay":
            media_type, body = PNG, _overlay(result)
        case "labelme":
            media_type, body = JSON, _json(result.to_labelme())
        case "json":
            media_type, body = JSON, _json(_segments(result, task, seconds))
    return Answer(media_type=media_type, body=body, seconds=seconds)


def _json(values: Mapping[str, object]) -> bytes:
    return json.dumps(values, allow_nan=False, separators=(",", ":")).encode()


def _segments(result: Result, task: Task, seconds: float) -> dict[str, object]:
    height, width = result.panoptic.size
    described: dict[str, object] = {
        "model": task.model,
        "image": {"name": task.name, "width": width, "height": height},
        "segments": _entries(result, task.wishes.masks),
    }
    if task.wishes.masks == "png":
        png = base64.b64encode(encode_ids(result.panoptic.ids.view(np.uint32))).decode()
        described["map"] = f"data:{PNG};base64,{png}"
    described["seconds"] = {"waited": round(task.waited, 4), "segmented": round(seconds, 4)}
    return described


def _entries(result: Result, masks: Masks) -> list[dict[str, object]]:
    entries: list[dict[str, object]] = [
        {
            "id": segment.id,
            "category_id": result.categories[segment.label].id,
            "name": segment.name,
            "isthing": segment.isthing,
            "score": None if segment.score is None else round(float(segment.score), 6),
            "area": segment.area,
            "box": list(segment.box),
        }
        for segment in result
    ]
    if masks == "rle":
        for entry, run_lengths in zip(entries, result.to_rle(), strict=True):
            entry["rle"] = run_lengths
    if masks == "png":
        colors = segment_colors(result.panoptic, result.categories).tolist()
        for entry, color in zip(entries, colors, strict=True):
            entry["color"] = color
    return [entry for entry in entries if entry["area"]]


def _coco(result: Result) -> bytes:
    """Return a zip of the map and its COCO panoptic file; the PNG can't be compressed further."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        png = encode_ids(result.panoptic.ids.view(np.uint32))
        archive.writestr(_member(f"{result.stem}.png"), png)
        archive.writestr(_member("predictions.json"), _json(result.to_coco()))
    return buffer.getvalue()


def _member(name: str) -> zipfile.ZipInfo:
    """Return an entry with a fixed date, so that equal results are equal files."""
    return zipfile.ZipInfo(name)


def _overlay(result: Result) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(result.draw()).save(buffer, "PNG", compress_level=_LEVEL)
    return buffer.getvalue()
