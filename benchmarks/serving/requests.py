"""Good requests, and bad ones with the status that they must get."""

import io
import os
import zlib
from dataclasses import dataclass

import numpy as np
from harness import scene
from PIL import Image

SIZE, PHOTOS = (480, 640), 12
PATH = "/v1/panoptic?masks=rle"


@dataclass(frozen=True)
class Bad:
    """A request that must be refused."""

    expected: int
    body: bytes
    path: str = PATH
    kind: str = "image/jpeg"


def encoded(image: np.ndarray, kind: str = "JPEG") -> bytes:
    """Return an image as the content of a file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind)
    return buffer.getvalue()


def photos() -> list[bytes]:
    """Generate photos."""
    return [encoded(scene(number, SIZE)[0]) for number in range(PHOTOS)]


def bomb() -> bytes:
    """Return a PNG of 900 million pixels in a few bytes."""
    content = encoded(np.zeros((1, 1, 3), np.uint8), "PNG")
    header = b"IHDR" + (30_000).to_bytes(4, "big") * 2 + content[24:29]
    return content[:12] + header + zlib.crc32(header).to_bytes(4, "big") + content[33:]


def bad_requests(photo: bytes) -> dict[str, Bad]:
    """Return a request of each kind that must be refused, by what is wrong."""
    form = "multipart/form-data; boundary=x"
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    return {
        "junk": Bad(422, os.urandom(5000)),
        "truncated photo": Bad(422, photo[: len(photo) // 2]),
        "zip": Bad(422, b"PK\x03\x04" + bytes(3000)),
        "empty": Bad(422, b""),
        "pixel bomb": Bad(413, bomb()),
        "large body": Bad(413, bytes(33 * 2**20)),
        "wrong type": Bad(415, photo, kind="text/html"),
        "unknown model": Bad(404, photo, "/v1/panoptic?model=none"),
        "unknown class": Bad(422, photo, "/v1/panoptic?classes=unicorn"),
        "bad score": Bad(422, photo, "/v1/panoptic?min_score=7"),
        "unknown option": Bad(422, photo, "/v1/panoptic?size=9"),
        "truncated form": Bad(422, head + photo[:900], kind=form),
        "form without photo": Bad(422, b"--x--\r\n", kind=form),
        "other method": Bad(405, b"", "/v1/models"),
    }
