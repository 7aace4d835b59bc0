"""Instances of functions: when each started, first worked, and stopped. They outlive a function that scales to zero."""

from dataclasses import asdict, dataclass
from typing import Any

from contracts.times import optional_rfc3339, to_rfc3339

MOST = 200  # records that are told at once


@dataclass(frozen=True, slots=True)
class Instance:
    """One process of a function; instants are microseconds since the epoch by its own clock.

    `start_seconds` is the time from the start of its process until its stores answered: its cold start.
    """

    function: str
    instance: str
    started_at: int
    first_request_at: int | None = None
    stopped_at: int | None = None
    start_seconds: float | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {
            "started_at": to_rfc3339(self.started_at),
            "first_request_at": optional_rfc3339(self.first_request_at),
            "stopped_at": optional_rfc3339(self.stopped_at),
        }
