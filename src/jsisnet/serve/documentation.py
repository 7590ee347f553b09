"""Examples of the answers, for OpenAPI."""

from typing import Any

from jsisnet.serve.form import FIELD
from jsisnet.serve.problems import MEDIA_TYPE
from jsisnet.serve.responses import JSON, PNG, ZIP
from jsisnet.serve.uploads import FORM

_BINARY = {"type": "string", "format": "binary"}

_JSON_EXAMPLE = {
    "model": "coco",
    "image": {"name": "street.jpg", "width": 640, "height": 480},
    "segments": [
        {
            "id": 1,
            "category_id": 3,
            "name": "car",
            "isthing": True,
            "score": 0.93,
            "area": 8214,
            "box": [31, 210, 178, 301],
            "rle": {"size": [480, 640], "counts": "PQ[3..."},
        },
        {
            "id": 2,
            "category_id": 149,
            "name": "road",
            "isthing": False,
            "score": None,
            "area": 90112,
            "box": [0, 260, 640, 480],
            "rle": {"size": [480, 640], "counts": "lX2..."},
        },
    ],
    "seconds": {"waited": 0.002, "segmented": 0.12},
}

_PROBLEMS = {
    401: "missing or wrong API key",
    404: "no model 'cocoo'; models: coco, street",
    408: "the body came too slowly: 1,024 bytes so far",
    413: "the photo has 20000 x 20000 pixels; expected at most 50,000,000",
    415: "the body is 'text/plain'; expected image/..., application/octet-stream or form-data",
    422: "the photo: can't be read as an image (image file is truncated)",
    429: "64 requests are pending; try again later",
    503: "no worker is ready; try again later",
    504: "the photo took more than 60 s to segment",
}


def _problem(status: int, detail: str) -> dict[str, Any]:
    example = {
        "type": "about:blank",
        "title": detail.partition(";")[0],
        "status": status,
        "detail": detail,
        "request_id": "5f0c1d9a7be24a11",
    }
    schema = {"type": "object", "required": list(example)}
    return {"description": detail, "content": {MEDIA_TYPE: {"schema": schema, "example": example}}}


ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The panoptic map, in the form that was asked for",
        "content": {
            JSON: {"schema": {"type": "object"}, "example": _JSON_EXAMPLE},
            ZIP: {"schema": _BINARY},
            PNG: {"schema": _BINARY},
        },
    },
    **{status: _problem(status, detail) for status, detail in _PROBLEMS.items()},
}
"""Responses of the segmentation."""

BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "image/*": {"schema": _BINARY},
            "application/octet-stream": {"schema": _BINARY},
            FORM: {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "properties": {FIELD: _BINARY},
                }
            },
        },
    }
}
"""Body of the segmentation's requests."""
