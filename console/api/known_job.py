"""What a handle knows of its job without asking."""

from collections.abc import Mapping
from typing import Any, cast

from console.api.documents import JobDocument
from console.api.errors import JobFailed, JobNotEnded
from console.api.reading import TERMINAL_STATES


class KnownJob:
    """A job as far as a handle knows it: nothing here asks the server."""

    def __init__(self, document: Mapping[str, Any], *, created: bool = True, deduplicated: bool = False) -> None:
        self.id: str = document["id"]
        self.created = created
        """False when the submission repeated an earlier one."""
        self.deduplicated = deduplicated
        """True when another job that has not ended holds the unique_key; this is that job."""
        self.document = cast(JobDocument, dict(document))
        """The job as last seen; after a submission alone it holds id and status only."""

    @property
    def status(self) -> str:
        """The state as last seen."""
        return self.document["status"]

    @property
    def ended(self) -> bool:
        return self.status in TERMINAL_STATES

    @property
    def result(self) -> Any:
        """What the handler returned. Raises JobFailed for a job that failed or was cancelled, JobNotEnded before its end."""
        if self.status == "succeeded" and "result" in self.document:
            return self.document["result"]
        if self.ended and self.status != "succeeded":
            raise JobFailed(cast(dict[str, Any], self.document))
        raise JobNotEnded(f"job {self.id} is {self.status} as last seen; call wait() or refresh() first")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.status}>"
