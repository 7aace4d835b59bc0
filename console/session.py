"""What a verb works with: the client, and where its words go."""

import argparse
import json
import shutil
import sys
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from console import contexts, environment
from console.contexts import Server
from console.text import Column, Painter, Row, clean, table

if TYPE_CHECKING:
    from console.client import Client


class Session:
    """One run of the command line. Answers go to standard output, all else to standard error."""

    def __init__(self, *, url: str | None = None, context: str | None = None, as_json: bool = False) -> None:
        self.as_json = as_json
        self._named = url, context
        self.paint = Painter(sys.stdout.isatty() and environment.wants_colour())
        self.room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> "Session":
        """By the options that every verb has."""
        return cls(**{name: getattr(arguments, name) for name in ("url", "context", "as_json") if hasattr(arguments, name)})

    @property
    def terminal_columns(self) -> int:
        """How wide a line beside the answer may be."""
        return shutil.get_terminal_size().columns

    @cached_property
    def server(self) -> Server:
        """The server that is meant, looked up on first use: verbs that ask none need no usable configuration."""
        return contexts.server(*self._named)

    @property
    def url(self) -> str:
        return self.server.url

    @cached_property
    def client(self) -> "Client":
        """The client, made on first use. Its patience is short while nobody answers: a person waits."""
        from console.client import Client, Patience

        return Client(self.url, self.server.key, patience=Patience(unreachable_seconds=0.5, unavailable_seconds=15.0))

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
