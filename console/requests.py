"""A job as the request that would make such a job again: JSON, a command for the shell, a CloudEvent. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from contracts.redaction import REDACTED

Job = Mapping[str, Any]
COPIED = ("type", "payload", "queue", "priority", "timeout_seconds", "max_attempts")
WHERE_SET = ("tags", "unique_key")


def request_of(job: Job) -> dict[str, Any]:
    """The job request: the same work under the same limits. When it was due, whom it waited for and what made it are left out,
    and `<give NAME again>` stands where a secret has to be."""
    job = {**job, "payload": _asked(job.get("payload"), "the secret")}
    return {name: job[name] for name in COPIED if job.get(name) is not None} | {name: job[name] for name in WHERE_SET if job.get(name)}


def lacks_secrets(job: Job) -> bool:
    """Whether the request cannot be sent as it is, because the server does not tell its secrets."""
    return _asked(job.get("payload"), "") != job.get("payload")


def _asked(value: Any, name: str) -> Any:
    """A payload with a place for each secret that is not told."""
    if isinstance(value, Mapping):
        return {key: _asked(part, str(key)) for key, part in value.items()}
    if isinstance(value, list):
        return [_asked(part, name) for part in value]
    return f"<give {name} again>" if value == REDACTED else value


def curl_of(url: str, job: Job) -> str:
    """A command for a POSIX shell; a key is taken from the environment, and stands in no history of commands."""
    body = json.dumps(request_of(job), ensure_ascii=False).replace("'", "'\\''")
    return (
        f"curl -s '{url}/v1/jobs' ${{OBSERVATORY_API_KEY:+-H \"Authorization: Bearer $OBSERVATORY_API_KEY\"}} "
        f"-H 'Content-Type: application/json' -d '{body}'"
    )


def event_of(job: Job) -> str:
    """The submission as a CloudEvent in JSON format."""
    return json.dumps({"specversion": "1.0", "id": f"again-{job['id']}", "source": "/console", "type": "dev.observatory.job.requested.v1",
                       "datacontenttype": "application/json", "data": request_of(job)}, ensure_ascii=False)  # fmt: skip
