"""What a client's call may raise."""

from typing import Any

from contracts.errors import Fault, ObservatoryError


class ObservatoryApiError(ObservatoryError):
    """The server refused the request or failed at it.

    `status` is the HTTP status, `problem` the RFC 9457 document of the answer, `faults` its faults,
    `retry_after_seconds` what a 503 or 429 asked for (None: nothing).
    """

    def __init__(self, status: int, problem: dict[str, Any], retry_after_seconds: float | None = None) -> None:
        faults = [_fault(found) for found in problem.get("faults", ()) if isinstance(found, dict)]
        super().__init__(str(problem.get("detail") or problem.get("title") or f"HTTP {status}"), faults=faults)
        self.status = status
        self.problem = problem
        self.retry_after_seconds = retry_after_seconds

    @property
    def kind(self) -> str:
        """The last word of the problem's type: `contract-violation`, `job-not-found` ..."""
        return str(self.problem.get("type", "")).rpartition(":")[2]


def _fault(found: dict[str, Any]) -> Fault:
    offset = found.get("offset")
    return Fault(str(found.get("pointer", "")), str(found.get("detail", "")), offset if isinstance(offset, int) else None)


class ServerUnreachable(ObservatoryError):
    """No server answers."""

    slug = "server-unreachable"

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"no server answers at {url} ({reason}). Start it with: make run. Name another with --url or OBSERVATORY_URL.")
        self.url = url
        self.reason = reason


class NotAnObservatory(ServerUnreachable):
    """Something answers, but not as this system does."""

    slug = "not-an-observatory"

    def __init__(self, url: str, reason: str) -> None:
        ObservatoryError.__init__(
            self, f"what answers at {url} is not this system ({reason}). Name the right address with --url or OBSERVATORY_URL."
        )
        self.url = url
        self.reason = reason


class JobNotEnded(ObservatoryError):
    """The job has not ended as far as this handle knows; call wait() or refresh() first."""

    slug = "job-not-ended"


class JobFailed(ObservatoryError):
    """The job ended without a result. `job` is its document."""

    slug = "job-failed"

    def __init__(self, job: dict[str, Any]) -> None:
        error = job.get("error") or {}
        why = f": {error.get('type')}: {error.get('message')}" if error else ""
        super().__init__(f"job {job.get('id')} {job.get('status')}{why}")
        self.job = job


class WaitTimedOut(ObservatoryError, TimeoutError):
    """The job did not end within the time given. `job` is its document as last seen."""

    slug = "wait-timed-out"

    def __init__(self, job: dict[str, Any], seconds: float) -> None:
        super().__init__(f"job {job.get('id')} is still {job.get('status')} after {seconds:g} s")
        self.job = job


class CannotSend(ObservatoryError, ValueError):
    """The request cannot be written as JSON."""

    slug = "cannot-send"
