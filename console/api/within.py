"""Submitting within a transaction of the caller's own, in the database where the server keeps its jobs (PostgreSQL)."""

from collections.abc import Mapping
from typing import Any

from console.api.errors import CannotSend, ObservatoryApiError
from console.api.submission import Accepted
from contracts.errors import ObservatoryError, Refused


def check(wait: float | None) -> None:
    """Raises CannotSend: a job that is not committed yet cannot be waited for."""
    if wait is not None:
        raise CannotSend("within a transaction of yours there is no waiting: the job is there once you commit; then use .wait()")


def accepted(answer: Any) -> Accepted:
    """What the store answered. Raises ObservatoryApiError for a refusal, as over HTTP."""
    if isinstance(answer, Refused):
        raise refusal(answer)
    if isinstance(answer, ObservatoryError):
        raise answer
    job = {"id": answer.id, "status": answer.status, "url": f"/v1/jobs/{answer.id}"}
    return Accepted(answer.id, answer.status, answer.created, answer.deduplicated, job)


def refusal(error: Refused) -> ObservatoryApiError:
    """A refusal as the server would have worded it."""
    problem: Mapping[str, Any] = {
        "type": f"urn:observatory:problem:{error.slug}",
        "status": error.status,
        "detail": error.message,
        "faults": [fault.as_json() for fault in error.faults],
    }
    return ObservatoryApiError(error.status, dict(problem))
