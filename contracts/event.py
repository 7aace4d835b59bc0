"""The event: one CloudEvent 1.0, held as the document of the CloudEvents JSON format."""

import re
from dataclasses import dataclass, field
from typing import Any

from contracts import strict_json
from contracts.times import from_rfc3339, to_rfc3339

SPEC_VERSION = "1.0"

_AS_LOGGED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


@dataclass(frozen=True, slots=True)
class Event:
    """A CloudEvent, frozen: `document` is its JSON-format object and is never changed after construction.

    Context attributes are its members (all strings); `data` holds a JSON value, `data_base64` bytes that are no JSON
    (CloudEvents JSON format 1.0, sections 2 and 3.1).
    """

    document: dict[str, Any]
    checked: bool = field(default=False, compare=False, repr=False)
    """Whether this very object was found valid: what producer and consumer share in one process is checked once."""

    place: int = field(default=0, compare=False, repr=False)
    """The position as a number, for an event that got it here."""

    def mark_checked(self) -> None:
        object.__setattr__(self, "checked", True)

    def put_at(self, position: int) -> None:
        """Gives an event that is being stored its place in the feed, before anybody else sees it."""
        self.document["position"] = str(position)
        object.__setattr__(self, "place", position)

    @property
    def id(self) -> str:
        return self.document["id"]

    @property
    def source(self) -> str:
        return self.document["source"]

    @property
    def type(self) -> str:
        return self.document["type"]

    @property
    def subject(self) -> str | None:
        return self.document.get("subject")

    @property
    def time(self) -> str | None:
        return self.document.get("time")

    @property
    def data(self) -> Any:
        return self.document.get("data")

    @property
    def position(self) -> int:
        """Where the event stands in the feed, from 1; 0 while it has no place there."""
        return self.place or int(self.document.get("position", 0))

    def attribute(self, name: str) -> str | None:
        """A context attribute or extension by its name; None when absent."""
        return self.document.get(name) if name not in ("data", "data_base64") else None

    def attributes(self) -> dict[str, str]:
        """Every context attribute and extension."""
        return {k: v for k, v in self.document.items() if k not in ("data", "data_base64")}

    def canonical(self) -> bytes:
        """Canonical JSON bytes of the event in structured form."""
        return strict_json.dumps(self.document)

    def as_logged(self) -> "Event":
        """This event with its instant as the log writes it. A broker may write it anew: Go's SDK, and so Knative, drops the zeros at
        the end of the fraction. An instant that is none stays as it is."""
        if self.time is None or _AS_LOGGED.fullmatch(self.time):
            return self
        try:
            return Event({**self.document, "time": to_rfc3339(from_rfc3339(self.time))})
        except (TypeError, ValueError, OverflowError):
            return self
