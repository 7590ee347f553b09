"""Logs as JSON, one line each, on standard error."""

import json
import logging
import sys
from datetime import UTC, datetime

FIELDS = "fields"
"""Attribute of a record with further fields of its line."""

_MAX_MESSAGE = 4_000
"""Characters of a message, and of a traceback."""

_NOISY = ("python_multipart", "uvicorn.error")
"""Loggers that warn of each damaged request, which has its answer."""


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON; control characters are escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:_MAX_MESSAGE],
        }
        line.update(getattr(record, FIELDS, {}))
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)[-_MAX_MESSAGE:]
        return json.dumps(line, default=str)


def configure(level: str = "INFO") -> None:
    """Send the records of this process to standard error as JSON, in place of other handlers."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel("WARNING")
    logging.disable(logging.NOTSET)
    logging.getLogger("jsisnet").setLevel(level)
    for name in _NOISY:
        logging.getLogger(name).setLevel("ERROR")
