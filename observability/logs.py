"""Log lines: for people on a terminal, JSON with a stable `action` elsewhere."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

_PLAIN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def printable(text: str, *, lines: bool = False) -> str:
    """Text without control characters, so that what comes from jobs and clients cannot steer a terminal; one line, or with
    `lines` as many as there were."""
    return "".join(character if character.isprintable() or (lines and character == "\n") else " " for character in text)


class PeopleLines(logging.Formatter):
    """`08:15:00  WARNING  what happened`, and below it where, for what nobody foresaw."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s  %(levelname)-7s  %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: object) -> str:
        return printable(super().formatException(ei), lines=True)  # type: ignore[arg-type]


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and what the call gave as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name, value in record.__dict__.items() if name not in _PLAIN},
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def is_for_people(form: str, stream: TextIO) -> bool:
    """Whether lines on that stream are for people: by the setting, and with `auto` if it is a terminal."""
    return form == "people" or (form == "auto" and stream.isatty())


def configure(form: str, level: int = logging.INFO) -> None:
    """Sends the logs of this process to standard error, as `people` or `json`; `auto` asks whether that is a terminal."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PeopleLines() if is_for_people(form, sys.stderr) else JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("observatory").setLevel(level)
