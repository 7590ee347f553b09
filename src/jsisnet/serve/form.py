"""Forms (multipart/form-data) that hold a photo; only its part is kept."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FIELD = "image"
"""Field that holds the photo."""

_MAX_PARTS = 32
"""Parts of a form."""


@dataclass(frozen=True, slots=True)
class FormPhoto:
    """A photo in a form."""

    content: bytes = field(repr=False)

    name: str | None
    """Name of its file as the client gave it."""


def photo_in_form(body: bytes, content_type: str) -> FormPhoto:
    """Return the photo of a form.

    Args:
        body: The form.
        content_type: The header Content-Type of the request, with the boundary.

    Raises:
        ValueError: If the form is damaged, ends too soon, or has not exactly one photo.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise ValueError("the Content-Type of the form has no boundary")
    collector = _Collector()
    try:
        parser = MultipartParser(boundary, collector.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise ValueError(f"the form can't be read ({error})") from error
    if not collector.ended:
        raise ValueError("the form ends before its last boundary; was it cut off?")
    if collector.photo is None:
        raise ValueError(f"the form has no field {FIELD!r}; expected the photo there")
    return collector.photo


class _Collector:
    """Callbacks of the parser."""

    def __init__(self) -> None:
        self.photo: FormPhoto | None = None
        self.ended = False
        self._parts = 0
        self._header, self._value, self._disposition = b"", b"", b""
        self._content = bytearray()
        self._options: dict[bytes, bytes] = {}

    def callbacks(self) -> "MultipartCallbacks":
        """Return the callbacks by the parser's names."""
        return {
            "on_part_begin": self.part_begin,
            "on_header_field": self.header_field,
            "on_header_value": self.header_value,
            "on_header_end": self.header_end,
            "on_headers_finished": self.headers_finished,
            "on_part_data": self.part_data,
            "on_part_end": self.part_end,
            "on_end": self.end,
        }

    def part_begin(self) -> None:
        """Begin a part."""
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise ValueError(f"the form has more than {_MAX_PARTS} parts")
        self._disposition = b""
        self._content.clear()

    def header_field(self, data: bytes, start: int, end: int) -> None:
        """Extend the name of a header."""
        self._header += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        """Extend the value of a header."""
        self._value += data[start:end]

    def header_end(self) -> None:
        """Note a header, if it names the field."""
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header, self._value = b"", b""

    def headers_finished(self) -> None:
        """Note which field a part is."""
        self._options = parse_options_header(self._disposition)[1]

    def part_data(self, data: bytes, start: int, end: int) -> None:
        """Keep the content of the photo."""
        if self._isphoto:
            self._content += data[start:end]

    def part_end(self) -> None:
        """Note the photo; a form may have only one."""
        if self._isphoto:
            if self.photo is not None:
                raise ValueError(f"the form has several fields {FIELD!r}; send one photo a request")
            name = self._options.get(b"filename")
            text = None if name is None else name.decode("utf-8", "replace")
            self.photo = FormPhoto(bytes(self._content), text)

    def end(self) -> None:
        """Note that the form is complete."""
        self.ended = True

    @property
    def _isphoto(self) -> bool:
        return self._options.get(b"name") == FIELD.encode()
