"""Reading: one job, lists by pages, and waiting for an end."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import quote

from console.api.documents import JobDocument, PageDocument
from console.api.errors import WaitTimedOut
from console.api.exchange import Call, Patience, Pause, Steps, exchange, json_exchange
from contracts.job import TERMINAL

Filter = str | Sequence[str] | None
PAGE = 200
TERMINAL_STATES = frozenset(str(status) for status in TERMINAL)


def query_of(filters: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Query parameters; several values of one are joined by commas, None is left out."""
    query = []
    for name, value in filters.items():
        if value is None or value in ((), []):
            continue
        query.append((name, str(value) if isinstance(value, str | int | float) else ",".join(str(v) for v in value)))
    return tuple(query)


def get(path: str, patience: Patience, **query: Any) -> Steps[Any]:
    """The JSON value at a path."""
    return (yield from json_exchange(Call("GET", path, query_of(query)), patience))


def page(path: str, patience: Patience, **query: Any) -> Steps[PageDocument]:
    """One page of a list."""
    return cast(PageDocument, (yield from get(path, patience, **query)))


def items(path: str, patience: Patience, **query: Any) -> Steps[list[Any]]:
    """The items of a list that has one page."""
    found = yield from page(path, patience, **query)
    return list(found["items"])


def text(path: str, patience: Patience) -> Steps[str]:
    """The text at a path."""
    answer = yield from exchange(Call("GET", path), patience)
    return answer.body.decode("utf-8", "replace")


def job_path(job_id: str, rest: str = "") -> str:
    """`/v1/jobs/ID`; whatever a person typed as an id stays one segment."""
    return f"/v1/jobs/{quote(str(job_id), safe='')}{rest}"


def queue_path(name: str, rest: str = "") -> str:
    return f"/v1/queues/{quote(str(name), safe='')}{rest}"


def bulk_path(operation_id: str) -> str:
    return f"/v1/bulk/{quote(str(operation_id), safe='')}"


def job(job_id: str, patience: Patience) -> Steps[JobDocument]:
    """A job. Raises ObservatoryApiError (404)."""
    return cast(JobDocument, (yield from get(job_path(job_id), patience)))


def log(job_id: str, lease_token: int | None, patience: Patience) -> Steps[str]:
    """What the handler printed in one claim, by default in the last; empty when there was none."""
    if lease_token is None:
        attempts = yield from items(job_path(job_id, "/attempts"), patience)
        if not attempts:
            return ""
        lease_token = attempts[-1]["lease_token"]
    return (yield from text(job_path(job_id, f"/attempts/{lease_token}/log"), patience))


def head(patience: Patience) -> Steps[int]:
    """The position of the newest event; 0 when there is none."""
    newest = yield from items("/v1/events", patience, limit=1)
    return int(newest[0]["position"]) if newest else 0


def ended_job(job_id: str, timeout: float | None, patience: Patience) -> Steps[JobDocument]:
    """The job once it ended, asked for at growing intervals: a tenth of the time waited, 20 ms to 1 s.

    Raises WaitTimedOut after `timeout` seconds (None: never).
    """
    begun = time.monotonic()
    while True:
        found = yield from job(job_id, patience)
        if found["status"] in TERMINAL_STATES:
            return found
        waited = time.monotonic() - begun
        if timeout is not None and waited >= timeout:
            raise WaitTimedOut(cast(dict[str, Any], found), timeout)
        pause = min(max(waited / 10, 0.02), 1.0)
        yield Pause(pause if timeout is None else min(pause, timeout - waited))
