"""What is known of each server: where its program is, how it starts, when it answers, what its URL is."""

from signal import Signals
from typing import Protocol

from functions.runtime.servers.place import Place
from functions.runtime.servers.process import Started


class Server(Protocol):
    name: str
    """In commands, folders and logs."""
    setting: str
    """The setting that takes its URL."""
    how: str
    """How to get it, for people."""
    stop_signal: Signals
    """What ends it in order."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Servers that must answer before this one starts."""

    def find(self) -> str | None:
        """Its program, from PATH or where its package puts it."""

    def version(self, program: str) -> str:
        """What the program says of its version."""

    def launch(self, place: Place, program: str) -> Started:
        """Starts it in its folder. Raises ConfigurationError."""

    def answers(self, place: Place) -> bool:
        """Whether it takes requests now."""

    def url(self, place: Place) -> str:
        """With credentials."""
