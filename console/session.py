"""What a verb works with: the client, and where its words go."""

import json
import shutil
import sys
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from console import environment
from console.text import Column, Painter, Row, clean, table

if TYPE_CHECKING:
    from console.client import Client


class Session:
    """One run of the command line. Answers go to standard output, all else to standard error."""

    def __init__(self, *, url: str | None = None, as_json: bool = False) -> None:
        from console.api.addresses import base_url

        self.as_json = as_json
        self.url_is_given = url is not None or environment.server_url_is_given()
        self.url = base_url(url or environment.server_url())
        self.paint = Painter(sys.stdout.isatty() and environment.wants_colour())
        self.room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None

    @cached_property
    def client(self) -> "Client":
        """The client, made on first use. Its patience is short while nobody answers: a person waits."""
        from console.client import Client, Patience

        return Client(self.url, patience=Patience(unreachable_seconds=0.5, unavailable_seconds=15.0))

    def say(self, line: str = "") -> None:
        """A line of the answer; clean it first when it holds text from jobs."""
        sys.stdout.write(line + "\n")

    def note(self, line: str) -> None:
        """A line beside the answer."""
        sys.stderr.write(line + "\n")

    def json(self, value: Any) -> None:
        """The answer as one readable JSON document, in ASCII, so that no terminal is moved by it."""
        sys.stdout.write(json.dumps(value, indent=2) + "\n")

    def json_line(self, value: Any) -> None:
        """One document of a sequence, a line each, at once."""
        sys.stdout.write(json.dumps(value) + "\n")
        sys.stdout.flush()

    def table(self, columns: Iterable[Column], rows: Iterable[Row], *, header: bool = True) -> None:
        for line in table(list(columns), list(rows), self.room, self.paint, header=header):
            self.say(line)

    def heading(self, words: str) -> None:
        self.say(self.paint(clean(words), "bold"))

    def flush(self) -> None:
        sys.stdout.flush()
